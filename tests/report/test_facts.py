from networld_algos.report.facts import notices
from networld_algos.report.page import write_report
from tests.report.rows import comparison_rows, make_row, reference_rows


def test_seeds_with_other_settings_are_named(display):
    rows = [make_row(), make_row(seed=1), make_row(label="x"), make_row(label="x", seed=1)]
    assert not [n for n in notices(rows, display) if "different settings" in n]
    for change in ({"config_hash": "0"}, {"updates": 5}):
        other = [*rows[:3], make_row(label="x", seed=1, **change)]
        (notice,) = (n for n in notices(other, display) if "different settings" in n)
        assert "x (comparison, networld/cbf/expert-v0)" in notice


def test_seeds_that_ended_after_different_updates_are_no_other_settings(display):
    """A training that is validated ends when its error no longer falls."""
    validated = {"extra": {"best_updates": 3.0}}
    rows = [make_row(seed=s, updates=5 + s, **validated) for s in range(3)]
    assert not [n for n in notices(rows, display) if "different settings" in n]
    other = [*rows, make_row(seed=3, updates=8, config_hash="0", **validated)]
    assert [n for n in notices(other, display) if "different settings" in n]


def test_one_seed_and_missing_references_are_said(tmp_path):
    rows = [r for r in reference_rows(4) if r.task != "rb"] + comparison_rows(1, 2)
    text = write_report(rows, tmp_path, "t").read_text()
    assert "No normalised score for rb" in text
    assert "18 of 18 results come from a single training seed" in text
    assert "] †" in text
