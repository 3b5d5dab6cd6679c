"""Any method takes the place of NetWorld: first in tables, on top in figures, in the titles."""

from dataclasses import replace

import numpy as np
import pytest

from networld_algos.cli.command import main
from networld_algos.registry import ALGORITHMS
from networld_algos.report import source, style, summary
from networld_algos.report.focus import focus_of
from networld_algos.report.page import write_report
from networld_algos.report.sections import comparison_figures, comparison_tables, versus
from networld_algos.results import stats
from networld_algos.results.display import BUILT_IN, Display, MethodLook
from networld_algos.results.rows import write_rows
from tests.report.rows import comparison_rows, crowd, fewshot_rows, make_row, reference_rows


def mine(label: str = "mine", *returns: float, algorithm: str = "mine"):
    return make_row(algorithm=algorithm, label=label, episode_returns=returns or (5.0, 6.0))


def of_one_task(seeds: int = 2):
    """The comparison on one task, with a method of the user that is better than BC."""
    rows = [r for r in reference_rows(4) + comparison_rows(seeds, 3) if r.task == "ns"]
    own = [
        replace(
            r,
            algorithm="mine",
            label="mine (small)",
            episode_returns=tuple(x + 0.01 for x in r.episode_returns),
        )
        for r in rows
        if r.label == "bc"
    ]
    return [*rows, *own]


def test_the_names_of_built_in_methods_are_those_of_the_registry():
    built_in = [n for n, (_, kind) in ALGORITHMS.items() if kind.__module__.startswith("networld_")]
    assert list(BUILT_IN) == built_in


def test_the_focus_is_networld_otherwise_the_users_method_otherwise_the_best(display):
    rows = of_one_task()
    assert focus_of(rows, display) == "networld"
    rest = [r for r in rows if r.label != "networld"]
    assert focus_of(rest, display) == "mine (small)"
    built_in = [r for r in rest if r.algorithm not in ("mine", "ma-dd")]
    assert focus_of(built_in, display) == "bc"
    assert focus_of([mine("a", 1.0), mine("b", 2.0)], display) == "b"
    assert focus_of([mine("mine", 1.0), mine("mine (large)", 2.0)], display) == "mine"
    assert focus_of([r for r in rows if r.kind == "reference"], display) == ""


def test_a_method_that_lacks_a_panel_is_not_the_best(display):
    rows = [mine("a", 1.0), replace(mine("a", 1.0), task="ns"), mine("b", 2.0)]
    assert focus_of(rows, display) == "a"


@pytest.mark.parametrize("wanted", ["ma-iql", "MA-IQL", "Ma-Iql"])
def test_a_method_is_found_by_its_label_and_by_its_printed_name(wanted, display):
    assert focus_of(of_one_task(), display, wanted) == "ma-iql"


def test_an_unknown_method_is_answered_with_those_that_there_are(display):
    with pytest.raises(
        ValueError, match=r"no method 'ma-ikl' in these rows; did you mean 'ma-iql'"
    ):
        focus_of(of_one_task(), display, "ma-ikl")
    with pytest.raises(ValueError, match=r"choose one of: networld, bc, .*mine \(small\)$"):
        focus_of(of_one_task(), display, "zzz")
    with pytest.raises(ValueError, match="hold no trained method"):
        focus_of(reference_rows(2), display, "bc")


def test_a_label_that_cannot_be_printed_can_be_chosen(tmp_path):
    rows = [mine("two\nlines"), mine("other")]
    page = write_report(rows, tmp_path, focus="two\nlines").read_text()
    assert "<h1>two\\nlines</h1>" in page


def test_the_focus_and_its_variants_come_first_in_every_experiment(display):
    rows = [*of_one_task(), *fewshot_rows(1)]
    found = source.ordered(rows, display, "bc")
    for experiment in ("comparison", "fewshot"):
        assert next(r.label for r in found if r.experiment == experiment) == "bc"
    some = [r for r in of_one_task() if r.kind == "learned"] + [
        replace(mine("mine (large)"), task="ns", dataset="networld/ns/expert-v0")
    ]
    labels = list(dict.fromkeys(r.label for r in source.ordered(some, display, "mine (small)")))
    assert labels[:3] == ["mine (small)", "mine (large)", "networld"]
    default = [r.label for r in source.ordered(some, display, "networld")]
    assert list(dict.fromkeys(default))[:2] == ["networld", "bc"]


def test_the_lines_of_the_focus_are_on_top_and_thicker_and_no_colour_changes(display):
    rows = of_one_task()
    curves = summary.learning_curves(rows, "comparison", np.random.default_rng(0))
    looks = {}
    for focus in ("networld", "mine (small)"):
        shown = source.Source(rows, None, 0, {}, display, focus).look  # pyright: ignore
        figure = comparison_figures.comparison_figure(curves, {}, shown)
        (ax,) = figure.axes
        lines = {ln.get_color(): ln for ln in ax.lines if ln.get_linestyle() != "None"}
        own = lines.pop(shown[focus]["color"])
        assert own.get_zorder() > max(line.get_zorder() for line in lines.values())
        assert own.get_linewidth() > max(line.get_linewidth() for line in lines.values())
        looks[focus] = {label: line["color"] for label, line in shown.lines.items()}
    assert looks["networld"] == looks["mine (small)"]


def test_a_variant_in_the_centre_has_the_full_colour_and_a_solid_line(display):
    pairs = [("networld", "networld"), ("networld", "networld (plan)")]
    rows = [make_row(algorithm=a, label=label) for a, label in pairs]
    shown = source.Source(rows, None, 0, {}, display, "networld (plan)").look  # pyright: ignore
    assert shown["networld (plan)"]["color"] == display.algorithms["networld"].colour
    assert shown["networld (plan)"]["linestyle"] == style.DASHES[0]
    assert shown["networld"]["linestyle"] != style.DASHES[0]


def test_a_crowded_figure_keeps_the_focus():
    curves = crowd()
    kept = {c.label for c in summary.leading(curves, "a, in another way 3")}
    assert kept == {"a, in another way 3", "b, in another way 3"}


def test_differences_over_tasks_are_against_the_focus(display):
    rows = source.ordered(of_one_task(3), display, "ma-dt")
    finals = summary.finals(rows, "comparison", np.random.default_rng(0))
    table = comparison_tables.aggregates(
        {"all": finals}, np.random.default_rng(0), display, "ma-dt"
    )
    assert table is not None
    assert "P(MA-DT better)" in [c.name for c in table.columns]
    assert table.lines[0][0].text == "MA-DT"


def test_the_command_puts_a_method_in_the_centre_and_names_it(tmp_path, capsys):
    write_rows(tmp_path / "cpu" / "a.jsonl", of_one_task())
    assert main(["report", str(tmp_path / "cpu"), "--focus", "mine (small)"]) == 0
    page = (tmp_path / "cpu" / "report" / "report.html").read_text()
    assert "<h1>mine (small)</h1>" in page
    assert "P(mine (small) better)" in page
    assert "Differences from mine (small)" in page
    assert main(["report", str(tmp_path / "cpu"), "--focus", "mine (smal)"]) == 2
    assert "did you mean 'mine (small)'?" in capsys.readouterr().err


def test_a_method_without_a_title_keeps_its_label_in_the_heading(tmp_path):
    display = Display(algorithms={"mine": MethodLook("Mine")})
    page = write_report([mine("mine (small)")], tmp_path, display=display).read_text()
    assert "<h1>Mine (small)</h1>" in page


def final_of(label, *seed_scores, panel="ns", seeds=None):
    """A method with these scores of every seed on two networks, one above and one below."""
    runs = [np.array([score - 5.0, score + 5.0]) for score in seed_scores]
    score = stats.seed_interval(runs, np.random.default_rng(0))
    return summary.Final(
        panel=(panel, f"networld/{panel}/expert-v0"),
        algorithm=label,
        label=label,
        seeds=list(seeds or range(len(runs))),
        runs=runs,
        reward=score,
        score=score,
        best_score=score,
        best_by="validation",
        latency_p50_ms=None,
        latency_p99_ms=None,
        bytes_per_step=None,
        train_seconds=None,
        extra={},
    )


def test_every_difference_is_paired_and_positive_where_the_focus_is_better():
    finals = [
        final_of("mine", 90.0, 80.0, 70.0),
        final_of("near", 89.0, 79.1, 68.9),
        final_of("far", 95.0, 84.0, 76.0),
        final_of("open", 70.0, 95.0, 75.0),
        final_of("mine", 50.0, 50.0, 50.0, panel="rb"),
        final_of("near", 40.0, 40.0, 40.0, panel="rb"),
    ]
    found = versus.table(finals, "mine", np.random.default_rng(0), Display())
    assert found is not None
    assert found.title == "Differences from mine"
    lines = {line[0].text: line[1:] for line in found.lines}
    assert set(lines) == {"near", "far", "open"}
    assert [c.text for c in lines["near"]] == ["+1.0", "+10.0", "2 of 2", "0 of 2"]
    assert [c.text for c in lines["far"]] == [
        "\N{MINUS SIGN}5.0",
        "\N{EN DASH}",
        "0 of 1",
        "1 of 1",
    ]
    assert [c.strong for c in lines["open"]] == [False] * 4
    assert [c.strong for c in lines["near"]][:2] == [True, True]
    low, high = lines["near"][0].limits or (0.0, 0.0)
    assert 0.0 < low < 1.0 < high < 2.0  # seeds differ by 20 points, the pairs by 0.2


def test_two_seeds_decide_no_difference():
    finals = [final_of("mine", 90.0, 91.0), final_of("other", 50.0, 51.0)]
    found = versus.table(finals, "mine", np.random.default_rng(0), Display())
    assert found is not None
    assert not found.lines[0][1].strong
    assert found.lines[0][2].text == "0 of 1"


def test_a_focus_without_a_score_or_a_rival_has_no_differences():
    finals = [final_of("mine", 90.0), final_of("other", 50.0, panel="rb")]
    for focus in ("mine", "absent"):
        assert versus.table(finals, focus, np.random.default_rng(0), Display()) is None
