from dataclasses import replace

import numpy as np
import pytest

from networld_algos.bench.preset_entries import MAIN_DEPLOYMENTS
from networld_algos.bench.presets import get_suite
from networld_algos.bench.unroll import unroll
from networld_algos.results import stats
from networld_algos.results.claims import aims
from networld_algos.results.claims import table as claims_table
from networld_algos.results.claims.aims import AIMS
from networld_algos.results.claims.check import MEAN, answer
from networld_algos.results.claims.claim import (
    HIGHER,
    SMOOTHER,
    Claim,
    Comparison,
    Verdict,
    ahead,
    at_least,
    at_most,
    within,
)
from networld_algos.results.claims.pages import replace_in, replaced
from networld_algos.results.claims.paper import AGENTS, NETWORLD, PAPER, TRAINED
from networld_algos.results.claims.scores import Pick, Scores, roughness
from networld_envs.simulator import about
from networld_envs.store.recipes import catalog
from tests.report.rows import make_row

NETWORKS = 40


def scored(label, score, seeds=5, spread=(0.5, 2.0), task="cbf", quality="expert", **changes):
    """Final rows of a method; random earns 0 and the expert 100 on average, see `ends`.

    Networks do the same to every method. ``spread`` is that of seeds, and of networks and seeds.
    """
    shared = np.random.default_rng(7).normal(0, 15, NETWORKS)
    rng = np.random.default_rng([len(label), int(10 * abs(score)), seeds])
    return [
        make_row(
            task=task,
            dataset=f"networld/{task}/{quality}-v0",
            algorithm=label.split()[0],
            label=label,
            seed=seed,
            episode_returns=score
            + shared
            - shared.mean()
            + rng.normal(0, spread[0])
            + rng.normal(0, spread[1], NETWORKS),
            **changes,
        )
        for seed in range(seeds)
    ]


def ends(row):
    """Rewards of random and expert: networks do the same to them."""
    shared = np.random.default_rng(7).normal(0, 15, NETWORKS)
    return shared - shared.mean(), 100 + shared - shared.mean()


def one(comparisons, rows, **changes):
    claim = Claim("key", "Text", "IV", "expert data", tuple(comparisons), **changes)
    return answer(claim, Scores(rows, ends))


def above(task="cbf", other="bc", rule=HIGHER, **changes):
    return Comparison(task, NETWORLD, Pick(other), rule, **changes)


@pytest.mark.parametrize(
    ("rule", "low", "high", "verdict"),
    [
        (HIGHER, 0.2, 3.0, "holds"),
        (HIGHER, 0.2, 0.8, "refuted"),  # no difference that matters
        (HIGHER, -0.9, 0.9, "refuted"),
        (HIGHER, -9.0, -2.0, "refuted"),
        (HIGHER, -1.0, 1.5, "undecided"),
        (HIGHER, np.nan, np.nan, "undecided"),
        (within(5.0), -4.0, 9.0, "holds"),
        (within(5.0), -9.0, -5.1, "refuted"),
        (within(5.0), -9.0, -1.0, "undecided"),
        (ahead(2.0), 2.0, 4.0, "holds"),
        (ahead(2.0), 0.5, 1.9, "refuted"),
        (at_least(95.0), 95.1, 99.0, "holds"),
        (at_least(95.0), 90.0, 94.9, "refuted"),
        (at_most(20.0), 3.0, 19.0, "holds"),
        (at_most(20.0), 21.0, 30.0, "refuted"),
        (at_most(20.0), 19.0, 21.0, "undecided"),
        (at_most(0.0), 0.0, 0.0, "holds"),
        (SMOOTHER, -3.0, -0.5, "holds"),
        (SMOOTHER, -0.9, -0.1, "holds"),
        (SMOOTHER, 0.1, 3.0, "refuted"),
        (SMOOTHER, -2.0, 3.0, "undecided"),
    ],
)
def test_an_interval_decides(rule, low, high, verdict):
    assert rule.verdict(low, high) == verdict


def test_a_difference_is_paired_by_seed_and_network():
    rows = [*scored("networld", 93.0), *scored("bc", 90.0)]
    found = one([above()], rows)
    (finding,) = found.findings
    assert found.verdict is Verdict.HOLDS
    assert finding.estimate is not None
    assert (finding.estimate.seeds, finding.estimate.networks) == (5, NETWORKS)
    assert finding.high - finding.low < 4  # networks differ by 15 points
    runs = [np.array(r.episode_returns) for r in rows]
    expected = stats.paired_interval(runs[:5], runs[5:], np.random.default_rng(0))
    assert (finding.low, finding.high) == pytest.approx((expected.low, expected.high))


def test_a_narrower_interval_of_a_small_lead_does_not_lose_what_a_wider_one_proves():
    """A lead between zero and a point holds unless the wide interval says that it is too small."""
    verdicts = {}
    for networks_spread in (0.8, 0.55, 0.4, 0.01):
        spread = {"spread": (0.15, networks_spread)}
        rows = [*scored("networld", 90.6, **spread), *scored("bc", 90.0, **spread)]
        (finding, *_) = one([above() for _ in range(12)], rows).findings
        verdicts[networks_spread] = (finding.verdict, finding.coverage)
        if finding.verdict == "holds":
            assert finding.low > 0
    assert "undecided" not in [v for v, _ in verdicts.values()], verdicts


def test_only_a_refutation_is_corrected_for_the_number_of_comparisons():
    """All comparisons have to hold, which none does by chance if one is false; any may refute."""
    spread = {"spread": (0.6, 2.0)}
    rows = [*scored("networld", 91.2, **spread), *scored("bc", 90.0, **spread)]
    alone, many = one([above()], rows), one([above() for _ in range(24)], rows)
    assert (alone.verdict, many.verdict) == ("holds", "holds")
    assert many.findings[0].low == alone.findings[0].low
    assert alone.confidence == pytest.approx(0.95)
    assert many.confidence == pytest.approx(1 - 0.05 / 24)
    rule = {"rule": ahead(2.3)}
    assert one([above(**rule)], rows).verdict == "refuted"
    assert one([above(**rule) for _ in range(24)], rows).verdict == "undecided"
    open_ = one([above(**rule) for _ in range(24)], rows).findings[0]
    assert open_.coverage == many.confidence  # the interval shown is the one that fails to refute
    assert open_.high > 2.3
    assert many.findings[0].coverage == pytest.approx(0.95)
    low = one([above(rule=ahead(5.0)) for _ in range(24)], rows)
    assert low.verdict == "refuted"
    widths = [found.findings[0].high - found.findings[0].low for found in (alone, low)]
    assert widths[1] > 1.4 * widths[0]
    missing = one([above(), above("rb")], rows)  # what was not run is no comparison
    assert missing.confidence == pytest.approx(0.95)


def test_wrong_verdicts_of_a_whole_claim_are_as_rare_as_it_says():
    """Six differences of zero refute nothing, and one proves nothing beside five leads."""
    rng = np.random.default_rng(0)
    wrong = {"refuted": [], "each": [], "holds": []}
    comparisons = [above(other=label, rule=within(0.0)) for label in "abcdef"]
    for _ in range(150):
        rows = [
            make_row(label=label, seed=seed, episode_returns=rng.normal(0, 2) + of_network)
            for label in ("networld", *"abcdef")
            for of_network in [rng.normal(50, 4, NETWORKS)]
            for seed in range(4)
        ]
        found = one(comparisons, rows)
        wrong["refuted"].append(found.verdict is Verdict.REFUTED)
        highs = [f.estimate.limits()[1] for f in found.findings if f.estimate]
        wrong["each"].append(min(highs) < 0)
        moved = [
            replace(r, episode_returns=[x - 30.0 for x in r.episode_returns])
            if r.label in "bcdef"
            else r
            for r in rows
        ]
        wrong["holds"].append(one(comparisons, moved).verdict is Verdict.HOLDS)
    assert np.mean(wrong["refuted"]) < 0.05
    assert np.mean(wrong["holds"]) < 0.05
    assert np.mean(wrong["each"]) > 0.05  # refutations without correction


def test_refutations_of_a_mean_are_rare_when_one_task_varies_most():
    """Degrees of freedom of such a mean are too many; comparisons on tasks count, to allow for it.

    Three seeds, three tasks, four methods as good as NetWorld, and a rule that is exactly met.
    """
    rng = np.random.default_rng(0)
    tasks = {"cbf": 4.0, "rb": 0.8, "ns": 0.8}
    comparisons = [above(task, label, within(0.0)) for task in tasks for label in "abcd"]
    claim = Claim("key", "Text", "IV", "expert data", tuple(comparisons), over_tasks=True)

    class Drawn(Scores):
        def __init__(self):
            pass

        def scores(self, task, pick):
            return {s: rng.normal(0, tasks[task]) + rng.normal(0, 1, 8) for s in range(3)}

    wrong = [
        answer(replace(claim, measure=Drawn.scores), Drawn()).verdict is Verdict.REFUTED
        for _ in range(400)
    ]
    assert np.mean(wrong) < 0.05


def test_the_worst_task_decides_and_what_is_missing_is_said():
    good = [*scored("networld", 95.0), *scored("bc", 80.0)]
    bad = [*scored("networld", 80.0, task="rb"), *scored("bc", 95.0, task="rb")]
    both = [above(), above("rb")]
    found = one(both, [*good, *bad])
    assert [found.deciding(task).verdict for task in found.places] == ["holds", "refuted"]
    assert found.verdict is Verdict.REFUTED
    found = one(both, good)
    assert [found.deciding(task).verdict for task in found.places] == ["holds", "not run"]
    assert found.verdict is Verdict.NOT_RUN
    assert one([*both, above("ns")], [*good, *bad]).verdict is Verdict.REFUTED  # missing or not
    for seeds in (1, 2):
        few = one([above()], [r for r in good if r.seed < seeds])
        assert few.verdict is Verdict.UNDECIDED
    no_seed = [r for r in good if (r.seed < 2) == (r.label == "bc")]
    assert one([above()], no_seed).verdict is Verdict.NOT_RUN


def test_a_claim_about_the_mean_over_tasks_is_decided_by_the_mean():
    rows = [
        row
        for task, mine, theirs in (("cbf", 70, 90), ("rb", 99, 30), ("ns", 99, 99))
        for row in (*scored("networld", mine, task=task), *scored("bc", theirs, task=task))
    ]
    comparisons = [above(task) for task in ("cbf", "rb", "ns")]
    found = one(comparisons, rows, over_tasks=True)
    assert found.places == ["cbf", "rb", "ns", MEAN]
    assert found.deciding("cbf").verdict is Verdict.REFUTED
    assert found.verdict is found.deciding(MEAN).verdict is Verdict.HOLDS
    estimate = found.deciding(MEAN).estimate
    assert estimate is not None
    parts = [f.estimate.value for f in found.findings[:3] if f.estimate]
    assert estimate.value == pytest.approx(np.mean(parts))
    assert found.confidence == pytest.approx(1 - 0.05 / 4)
    assert one(comparisons, rows).verdict is Verdict.REFUTED
    partial = [r for r in rows if r.task != "ns"]
    assert one(comparisons, partial, over_tasks=True).verdict is Verdict.NOT_RUN


TRANSFER = {claim.key: claim for claim in (*PAPER, *AIMS) if claim.key.startswith("transfer-")}


def transfer_rows(claim, **controls):
    """Rows of a claim about transfer: NetWorld at 90, and every control at 60, or as given."""
    rows = {}
    for c in claim.comparisons:
        for pick in (c.mine, c.other):
            score = 90.0 if pick is c.mine else 60.0
            for name, value in controls.items():
                score = value if name in pick.label else score
            rows[c.task, pick] = scored(
                pick.label,
                score,
                seeds=3,
                task=c.task,
                experiment=pick.experiment,
                fraction=sum(pick.shares) / 2,
                factor=pick.factor,
                level=pick.level,
            )
    return [row for found in rows.values() for row in found]


@pytest.mark.parametrize("key", TRANSFER)
def test_transfer_holds_only_above_every_control(key):
    """More updates, or any frozen networks, may be worth as much as what was learned before."""
    claim = TRANSFER[key]
    assert answer(claim, Scores(transfer_rows(claim), ends)).verdict == "holds"
    for control in ("from scratch", "shuffled", "random frozen"):
        same = transfer_rows(claim, **{control: 90.0})
        found = answer(claim, Scores(same, ends))
        assert found.verdict in ("refuted", "undecided"), control
        above = transfer_rows(claim, **{control: 99.0})
        assert answer(claim, Scores(above, ends)).verdict == "refuted", control
        partial = [r for r in same if control not in r.label]
        assert answer(claim, Scores(partial, ends)).verdict == "not run", control


def test_the_comparison_that_misses_its_limit_by_most_decides():
    limits = [
        Comparison("cbf", NETWORLD, None, rule, note)
        for note, rule in (("far", at_least(140.0)), ("near", at_least(99.0)))
    ]
    assert one(limits, scored("networld", 97.0)).deciding("cbf").comparison.note == "far"
    assert one(limits[::-1], scored("networld", 97.0)).deciding("cbf").comparison.note == "far"


def test_claims_about_values_policies_failures_and_milliseconds():
    rows = scored("networld", 97.0)
    assert one([Comparison("cbf", NETWORLD, None, at_least(95.0))], rows).verdict == "holds"
    assert one([Comparison("cbf", NETWORLD, None, at_least(99.0))], rows).verdict == "refuted"
    slnr = make_row(
        kind="reference",
        experiment="reference",
        algorithm="slnr",
        label="slnr",
        role="heuristic",
        dataset=None,
        seed=-1,
        fraction=None,
        updates=None,
        episode_returns=np.array(rows[0].episode_returns) - 20,
    )
    found = one([Comparison("cbf", NETWORLD, "slnr", HIGHER)], [*rows, slnr])
    assert found.verdict == "holds"
    assert one([Comparison("cbf", NETWORLD, "mrt", HIGHER)], [*rows, slnr]).verdict == "not run"
    few = Comparison("cbf", NETWORLD, Pick("networld", quality="mixed"), within(0.0), share=0.95)
    more = scored("networld", 99.0, quality="mixed")
    assert one([few], [*rows, *more]).verdict == "holds"  # 97 against 94
    assert one([replace(few, share=1.0)], [*rows, *more]).verdict == "refuted"
    silent = {"measure": Scores.failures, "is_share": True}
    seldom = Comparison("cbf", NETWORLD, None, at_most(1.0))
    found = one([seldom], scored("networld", 170.0), **silent)
    assert found.verdict == "undecided"  # no failure, but 40 networks are few
    assert found.findings[0].high == pytest.approx(100 * (1 - 0.025 ** (1 / NETWORKS)))
    rarely = replace(seldom, rule=at_most(10.0))
    assert one([rarely], scored("networld", 170.0), **silent).verdict == "holds"
    assert one([seldom], scored("networld", 40.0), **silent).verdict == "refuted"
    timed = [replace(r, extra={"decision_ms_one_agent": 3.0 + r.seed}) for r in rows]
    fast = Comparison("cbf", NETWORLD, None, at_most(20.0))
    found = one([fast], timed, measure=Scores.station_ms)
    assert (found.verdict, found.findings[0].estimate.value) == ("holds", 5.0)  # pyright: ignore
    assert found.findings[0].low != 3.0  # unless times are no samples
    found = one([fast], timed, measure=Scores.station_ms, is_exact=True)
    assert (found.findings[0].low, found.findings[0].high) == (3.0, 7.0)
    found = one([fast], timed[:1], measure=Scores.station_ms, is_exact=True)
    assert found.verdict == "holds"  # one seed is enough
    assert one([fast], rows, measure=Scores.station_ms).verdict == "not run"


def test_a_curve_is_smooth_if_it_rises_steadily():
    assert roughness(np.linspace(3.0, 90.0, 6)) == pytest.approx(0.0)
    assert roughness(np.array([80.0, 90.0, 80.0, 90.0])) == 10.0

    def trained(label, wobble, evaluations=12):
        return [
            replace(row, updates=k, is_last=False, eval_seed_set="validation", episode_returns=y)
            for row in scored(label, 60.0)
            for k in range(1, evaluations + 1)
            for y in [tuple(x + 2 * k + wobble * (-1) ** k for x in row.episode_returns)]
        ]

    smoother = [Comparison("cbf", NETWORLD, Pick("bc"), SMOOTHER)]
    rows = [*trained("networld", 0.0), *trained("bc", 3.0)]
    found = one(smoother, rows, measure=Scores.roughness)
    assert found.verdict == "holds"
    assert found.findings[0].estimate.value == pytest.approx(-6.0)  # pyright: ignore
    short = [*trained("networld", 0.0, 9), *trained("bc", 3.0, 9)]
    assert one(smoother, short, measure=Scores.roughness).verdict == "not run"


def test_of_several_shares_of_the_data_the_one_that_is_meant_counts():
    by_share = {0.02: 20.0, 0.033: 40.0, 0.041: 60.0, 0.5: 80.0, 1.0: 99.0}
    rows = [
        row
        for share, score in by_share.items()
        for row in scored("networld", score, fraction=share)
    ]
    for shares, score in (((0.025, 0.042), 40), (NETWORLD.shares, 99), ((0.9, 1.1), 99)):
        pick = replace(NETWORLD, shares=shares)
        (finding,) = one([Comparison("cbf", pick, None, at_least(0.0))], rows).findings
        assert finding.estimate is not None
        assert finding.estimate.value == pytest.approx(score, abs=2)
    twice = [*scored("networld", 90.0), *scored("networld", 91.0)]
    with pytest.raises(ValueError, match=r"seed 0 has several final rows .* own label"):
        one([Comparison("cbf", NETWORLD, None, at_least(0.0))], twice)


def test_every_claim_is_about_rows_that_the_suite_makes():
    """A label that no suite has would be "not run" for ever."""
    runs = unroll(get_suite("cpu"))
    made = {
        (run.experiment, run.task, run.quality, condition.label, condition.factor, condition.level)
        for run in runs
        for condition in run.conditions
    }
    shares = {run.fraction for run in runs if run.experiment in ("fewshot", "deployments")}
    policies = {(run.task, run.label) for run in runs if run.stage == "reference"}
    keys = [claim.key for claim in (*PAPER, *AIMS)]
    assert len(keys) == len(set(keys))
    for claim in (*PAPER, *AIMS):
        for c in claim.comparisons:
            if isinstance(c.other, str):
                assert (c.task, c.other) in policies, claim.key
            for pick in (p for p in (c.mine, c.other) if isinstance(p, Pick)):
                where = (pick.experiment, c.task, pick.quality, pick.label, pick.factor, pick.level)
                assert where in made, claim.key
                if pick.shares != NETWORLD.shares:
                    low, high = pick.shares
                    assert len([x for x in shares if low <= x <= high]) == 1, claim.key


def test_what_claims_know_of_tasks_is_what_tasks_say():
    assert aims.CONTROLLED == MAIN_DEPLOYMENTS
    for task in claims_table.TASKS:
        facts = about(task)
        assert set(aims.DEPLOYMENTS[task]) == set(facts.deployments)
        assert len(set(aims.CONTROLLED) & set(facts.deployments)) == 1
        assert {*AGENTS[task], TRAINED[task]} == set(facts.agent_counts)
        assert not facts.agent_counts[int(TRAINED[task])]
        policies = {b.policy for b in catalog()[f"networld/{task}/legacy-v0"].behaviours}
        assert set(aims.HEURISTICS[task]) == policies


def test_the_table_shows_what_decided():
    rows = [
        *scored("networld", 95.0, spread=(0.1, 0.5)),
        *scored("bc", 80.0),
        *scored("ma-iql", 94.9, spread=(0.1, 0.5)),
        *scored("networld", 90.0, task="rb", seeds=3),
        *scored("bc", 60.0, task="rb", seeds=3),
    ]
    found = one([above(), above(other="ma-iql"), above("rb"), above("ns")], rows)
    names = {"ma-iql": "MA-IQL"}
    line = claims_table.cells(found, lambda label: names.get(label, label))
    assert line[:3] == ["Text", "IV", "expert data"]
    # MA-IQL decides, not cloning.
    assert line[3].startswith(("refuted: +0.", "refuted: \N{MINUS SIGN}0."))
    assert line[3].endswith("], MA-IQL")
    assert line[4].startswith("holds: +30.")
    assert line[5:] == ["not run", "refuted", "3\N{EN DASH}5, 40"]
    text = claims_table.markdown_table([found], str)
    assert "Of 1 claim of the paper, 1 is refuted." in text
    assert "| **refuted** | 3\N{EN DASH}5, 40 |" in text
    value = one([Comparison("cbf", NETWORLD, None, at_least(99.0), "99 points")], rows)
    assert claims_table.place_text(value, "cbf", str).startswith("refuted: 95.")
    assert claims_table.place_text(value, "rb", str) == claims_table.DASH


def test_a_table_replaces_what_is_between_the_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- claims rows -->\nold\n<!-- /claims -->\nb\n")
    assert replace_in(page, "rows", "new | line")
    assert page.read_text() == "a\n<!-- claims rows -->\n\nnew | line\n\n<!-- /claims -->\nb\n"
    assert not replace_in(page, "rows", "new | line")
    assert replaced(page.read_text(), "rows", r"\1") != page.read_text()  # no pattern
    for text in ("nothing", "<!-- claims rows -->", "<!-- claims other -->x<!-- /claims -->"):
        page.write_text(text)
        with pytest.raises(ValueError, match=r"page\.md: expected the lines '<!-- claims rows"):
            replace_in(page, "rows", "new")
