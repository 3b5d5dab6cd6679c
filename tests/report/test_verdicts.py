from dataclasses import replace

import numpy as np
import pytest

from networld_algos.report import summary
from networld_algos.report.sections.answer import result_text, sentence
from networld_algos.report.verdicts import (
    MATTERS,
    Outcome,
    Standing,
    Verdict,
    comparisons,
    representatives,
    standing,
    verdicts,
)
from networld_algos.results.display import Display
from networld_algos.results.rows import Row
from networld_algos.results.stats import Interval, Method
from tests.report.rows import REFERENCES, make_row, reference_rows


def scored(levels: dict[str, float], seeds: int = 3, spread: float = 0.2) -> list[Row]:
    """Methods with exact scores: ``spread`` is the distance of their seeds."""
    random, expert = REFERENCES["cbf"]["random"][1], REFERENCES["cbf"]["expert"][1]
    rows = [r for r in reference_rows(200) if r.task == "cbf"]
    ends = [np.mean([r.episode_returns for r in rows if r.role == x]) for x in ("random", "expert")]
    random, expert = map(float, ends)
    for i, (label, score) in enumerate(levels.items()):
        rng = np.random.default_rng(i)
        noise = rng.normal(0, spread, (seeds, 8))
        noise -= noise.mean()
        for s in range(seeds):
            returns = random + (expert - random) * (score + noise[s]) / 100
            rows.append(
                make_row(
                    label=label,
                    algorithm=label.split(" ")[0],
                    seed=s,
                    episode_returns=tuple(returns),
                )
            )
    return rows


def decided(
    levels: dict[str, float], seeds: int = 3, spread: float = 0.2, focus: str = ""
) -> Verdict:
    return decided_by(scored(levels, seeds, spread), focus)


def decided_by(rows: list[Row], focus: str = "") -> Verdict:
    rng = np.random.default_rng(0)
    finals = summary.finals(rows, "comparison", rng)
    (found,) = verdicts(finals, representatives(finals, focus), rng)
    return found


def test_a_method_wins_if_it_beats_all_others():
    found = decided({"a": 60, "b": 90, "c": 75})
    assert (found.leader.label, found.outcome) == ("b", Outcome.WIN)
    assert [r.final.label for r in found.rivals] == ["c", "a"]
    assert [r.lead.value for r in found.rivals] == pytest.approx([15.0, 30.0])
    assert {name: found.outcome_of(name) for name in "abcd"} == {
        "a": Outcome.LOSS,
        "b": Outcome.WIN,
        "c": Outcome.LOSS,
        "d": None,
    }


def test_methods_within_a_point_tie_although_one_is_surely_ahead():
    found = decided({"a": 90.0, "b": 90.6, "c": 75}, seeds=5, spread=0.02)
    assert found.rivals[0].lead.low > 0
    assert found.outcome is Outcome.TIE
    assert [r.final.label for r in found.rivals if r.standing is Standing.LEVEL] == ["a"]
    assert found.outcome_of("a") is Outcome.TIE
    assert found.outcome_of("c") is Outcome.LOSS


def test_methods_with_few_seeds_do_not_undecide_the_others():
    few = [r for r in scored({"a": 60, "b": 90, "mine": 95}) if r.label != "mine" or r.seed == 0]
    found = decided_by(few)
    assert (found.leader.label, found.outcome, found.seeds) == ("b", Outcome.WIN, 3)
    assert [f.label for f in found.few_seeds] == ["mine"]
    assert found.outcome_of("mine") is Outcome.OPEN
    assert found.best_variant is None  # it is an algorithm of its own


def test_a_single_method_with_seeds_enough_is_compared_with_the_others():
    few = [r for r in scored({"a": 60, "b": 90}) if r.label != "a" or r.seed == 0]
    found = decided_by(few)
    assert (found.leader.label, found.outcome, found.few_seeds) == ("b", Outcome.OPEN, [])


def test_the_closest_rival_is_the_best_undecided_one():
    scattered = [r for r in scored({"c": 86.0}, spread=30.0) if r.kind == "learned"]
    found = decided_by([*scored({"a": 90.0, "b": 88.0}), *scattered])
    assert [r.standing for r in found.rivals] == [Standing.BEATEN, Standing.OPEN]
    assert found.closest.final.label == "c"
    assert decided({"a": 60, "b": 90, "c": 75}).closest.final.label == "c"


def test_what_scatters_too_much_is_undecided():
    found = decided({"a": 90.0, "b": 93.0, "c": 40}, spread=12.0)
    assert found.outcome is Outcome.OPEN
    assert found.outcome_of("a") is Outcome.OPEN
    assert found.outcome_of("c") is Outcome.LOSS


def test_a_loss_on_an_undecided_panel_is_said():
    found = decided({"a": 90.0, "b": 93.0, "c": 40}, spread=12.0)
    assert result_text(found, "b", Display()) == "Undecided: b or a"
    assert result_text(found, "c", Display()) == "c loses to b or a"


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_decide_nothing(seeds):
    found = decided({"a": 60, "b": 90}, seeds=seeds)
    assert found.seeds == seeds
    assert found.outcome is Outcome.OPEN
    assert found.outcome_of("a") is Outcome.OPEN


def test_one_method_stands_for_an_algorithm_and_a_better_variant_is_told():
    levels = {"a": 80.0, "a (plan)": 95.0, "b (sample)": 70.0, "b (mean)": 72.0}
    found = decided(levels)
    assert found.leader.label == "a"
    assert [r.final.label for r in found.rivals] == ["b (mean)"]
    assert found.best_variant is not None
    assert found.best_variant.label == "a (plan)"
    centre = decided(levels, focus="a (plan)")
    assert centre.leader.label == "a (plan)"
    assert centre.best_variant is None


def test_where_a_focus_variant_was_not_run_its_algorithm_is_represented_as_usual():
    """Focus on a variant of two: it stands for ``a`` on its own data, and ``a`` on the other."""
    rows = scored({"a": 80.0, "a (plan)": 95.0, "b": 70.0})
    elsewhere = [
        replace(r, dataset="networld/cbf/mixed-v0")
        for r in rows
        if r.kind == "learned" and r.label != "a (plan)"
    ]
    finals = summary.finals([*rows, *elsewhere], "comparison", np.random.default_rng(0))
    competing = representatives(finals, "a (plan)")
    assert [(f.panel[1].split("/")[-1], f.label) for f in competing] == [
        ("expert-v0", "a (plan)"),
        ("expert-v0", "b"),
        ("mixed-v0", "a"),
        ("mixed-v0", "b"),
    ]
    found = verdicts(finals, competing, np.random.default_rng(0))
    assert [(v.leader.label, v.outcome) for v in found] == [
        ("a (plan)", Outcome.WIN),
        ("a", Outcome.WIN),
    ]
    text = sentence(found, "a (plan)", Display())
    assert text.startswith("a (plan) is in 1 of 2 comparisons: it wins 1.")
    assert "a wins" not in text  # where the variant was not run
    assert "the win" in text  # one, not both


def test_a_variant_stands_for_an_algorithm_whose_main_method_is_missing_there():
    """Nobody beats all others if a variant of an algorithm is above, and its main method failed."""
    rows = scored({"a": 80.0, "b": 90.0, "b (v)": 95.0, "b (w)": 60.0})
    elsewhere = [
        replace(r, dataset="networld/cbf/mixed-v0")
        for r in rows
        if r.kind == "learned" and r.label != "b"
    ]
    finals = summary.finals([*rows, *elsewhere], "comparison", np.random.default_rng(0))
    found = verdicts(finals, representatives(finals), np.random.default_rng(0))
    assert [(v.leader.label, [r.final.label for r in v.rivals]) for v in found] == [
        ("b", ["a"]),
        ("b (v)", ["a"]),
    ]


def test_methods_without_a_shared_seed_are_undecided():
    rows = scored({"a": 60, "b": 90})
    rows = [r for r in rows if r.label != "a" or r.seed == 0]
    alone = make_row(label="a", algorithm="a", seed=9, episode_returns=rows[-1].episode_returns)
    rng = np.random.default_rng(0)
    kept = [r for r in rows if r.label != "a"]
    finals = summary.finals([*kept, alone], "comparison", rng)
    (found,) = verdicts(finals, representatives(finals), rng)
    assert found.outcome is Outcome.OPEN


def test_only_shared_seeds_count():
    """Three seeds each, of which one is shared, are one pair."""
    rows = scored({"a": 60, "b": 90}, seeds=5)
    kept = [r for r in rows if r.seed in {"a": (0, 1, 2), "b": (2, 3, 4)}.get(r.label, (-1,))]
    found = decided_by(kept)
    assert found.seeds == 1
    assert found.outcome is Outcome.OPEN


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 5.0, Standing.BEATEN),
        (-0.1, 5.0, Standing.OPEN),
        (-0.9, 0.9, Standing.LEVEL),
        (0.1, 0.9, Standing.LEVEL),
        (-0.9, MATTERS, Standing.OPEN),
        (float("nan"), float("nan"), Standing.OPEN),
    ],
)
def test_standing_follows_from_the_interval(low, high, expected):
    assert standing(Interval(0.5, low, high, 5, Method.T)) is expected


def test_a_lead_that_is_barely_sure_does_not_hold_among_many():
    """A p-value of 4% decides one comparison; one such lead among 15 pairs is what chance gives."""
    near, others = {"a": 90.0, "b": 88.0}, dict.fromkeys("cdef", 89.9)
    spread = next(
        s for s in np.arange(0.5, 8.0, 0.1) if 0.02 < decided(near, 5, s).rivals[0].p_value < 0.05
    )
    alone, crowd = decided(near, 5, spread), decided(near | others, 5, spread)
    assert alone.outcome is Outcome.WIN
    assert alone.is_confirmed
    assert comparisons([crowd]) == 15
    (lead,) = [r for r in crowd.rivals if r.final.label == "b"]
    assert lead.standing is Standing.BEATEN
    assert not lead.is_confirmed
    sure = decided({"a": 90.0} | dict.fromkeys("bcdef", 30.0), 5, spread)
    assert sure.is_confirmed


def test_leads_of_too_few_seeds_are_not_counted():
    found = decided({"a": 90.0, "b": 60.0}, seeds=2)
    assert comparisons([found]) == 0
    assert not found.is_confirmed
