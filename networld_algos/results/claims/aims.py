"""The project's own aims, as far as rows of a suite can decide them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from networld_algos.results.claims.claim import (
    HIGHER,
    TASKS,
    Claim,
    Comparison,
    Rule,
    ahead,
    at_least,
    at_most,
    within,
)
from networld_algos.results.claims.paper import CONTROLS, NETWORLD, THIRTIETH
from networld_algos.results.claims.scores import Pick, Scores
from networld_algos.results.rows import DEPLOYMENT
from networld_algos.results.stats import MATTERS

MIXED = replace(NETWORLD, quality="mixed")
LEGACY = replace(NETWORLD, quality="legacy")
SCRATCH = Pick("networld (from scratch)", "fewshot")
SHARES = {1: (0.0, 0.004), 4: (0.006, 0.012), 15: THIRTIETH, 450: (0.9, 1.1)}
"""Training episodes of a dataset of 450 -> the shares of the data that stand for it."""
HEURISTICS = {
    "cbf": ("mrt", "slnr"),
    "rb": ("hard", "cap", "mean", "alternation"),
    "ns": ("demand", "hard", "static"),
}
"""The policies whose actions are in data of the quality ``"legacy"``."""
DEPLOYMENTS = {
    "cbf": ("dense", "antennas2", "antennas8"),
    "rb": ("ring6", "nodes96", "busy"),
    "ns": ("hotspots", "urgent"),
}
"""Other deployments of each task that a trained model is carried over to."""
CONTROLLED = ("dense", "ring6", "hotspots")
"""The deployment of each task where all of `networld_algos.results.claims.paper.CONTROLS` are run;
elsewhere it is the first."""
STATION_LIMIT_MS = 20.0
"""A slot of the task `cbf`, in which a station has to decide."""


def reaches(values: dict[str, float], mine: Pick = NETWORLD) -> tuple[Comparison, ...]:
    """A score of at least this on each task."""
    return tuple(
        Comparison(task, mine, None, at_least(value), f"{value:g} points")
        for task, value in values.items()
    )


def against(
    mine: Pick, others: Sequence[str], rule: Rule, tasks: Sequence[str] = TASKS
) -> tuple[Comparison, ...]:
    """A method against others of the same experiment and data."""
    return tuple(
        Comparison(task, mine, replace(mine, label=label), rule)
        for task in tasks
        for label in others
    )


def carried(
    episodes: int, other: str, others_episodes: int, **values: float
) -> tuple[Comparison, ...]:
    """NetWorld tuned to other deployments against another model there."""
    found = []
    for task, presets in DEPLOYMENTS.items():
        for preset in presets:
            mine = Pick(
                "networld",
                "deployments",
                shares=SHARES[episodes],
                factor=f"{DEPLOYMENT}{preset}",
                level=1.0,
            )
            theirs = replace(mine, label=other, shares=SHARES[others_episodes])
            rule = within(MATTERS) if other != mine.label else within(0.0)
            found.append(Comparison(task, mine, theirs, rule, preset, **values))
    return tuple(found)


def worth() -> tuple[Comparison, ...]:
    """NetWorld tuned to other deployments with 4 episodes, above the controls run there."""
    found = []
    for control in CONTROLS:
        for pair in carried(4, f"networld ({control})", 4):
            if control == CONTROLS[0] or pair.note in CONTROLLED:
                found.append(replace(pair, rule=HIGHER, note=f"{pair.note}, {control}"))
    return tuple(found)


AIMS = (
    Claim(
        "reaches-expert",
        "NetWorld reaches 95 points on CBF, 99 on RB and 99.8 on NS",
        "aim",
        "expert data",
        reaches({"cbf": 95.0, "rb": 99.0, "ns": 99.8}),
    ),
    Claim(
        "silent",
        "On RB, NetWorld scores less than 50 on at most 1% of networks",
        "aim",
        "expert data; it cannot hold with fewer than 368 networks",
        (Comparison("rb", NETWORLD, None, at_most(1.0), "% of networks"),),
        measure=Scores.failures,
        unit="% of networks",
        is_share=True,
    ),
    Claim(
        "few-rb",
        "On RB, NetWorld reaches 93 points from 15 episodes and 80 from 4",
        "aim",
        "expert data, from scratch",
        tuple(
            Comparison(
                "rb",
                replace(SCRATCH, shares=SHARES[episodes]),
                None,
                at_least(value),
                f"{episodes} episodes: {value:g} points",
            )
            for episodes, value in ((15, 93.0), (4, 80.0))
        ),
    ),
    Claim(
        "cloning-expert",
        "NetWorld is level with or above cloning with the same message",
        "aim",
        "expert data",
        against(NETWORLD, ("bc",), within(MATTERS)),
    ),
    Claim(
        "baselines-repaired",
        "MA-DT, MA-DD and MA-CQL are within five points of cloning with the same message",
        "aim",
        "expert data",
        tuple(
            Comparison(task, Pick(name), Pick("bc"), within(5.0), name)
            for task in TASKS
            for name in ("ma-dt", "ma-dd", "ma-cql")
        ),
    ),
    Claim(
        "reaches-mixed",
        "NetWorld reaches 95 points on RB and 99.8 on NS",
        "aim",
        "mixed data",
        reaches({"rb": 95.0, "ns": 99.8}, MIXED),
    ),
    Claim(
        "cloning-mixed",
        "On CBF, NetWorld is two points above cloning with the same message",
        "aim",
        "mixed data",
        against(MIXED, ("bc",), ahead(2.0), ("cbf",)),
    ),
    Claim(
        "diffusion-mixed",
        "Plans of the noise model are above the forecast",
        "aim",
        "mixed data",
        tuple(
            Comparison(
                task, replace(MIXED, label="networld (plan)"), MIXED, HIGHER, "forecast alone"
            )
            for task in ("cbf", "rb")
        ),
    ),
    Claim(
        "legacy-learned",
        "From logs of heuristics, NetWorld learns more than cloning and MA-IQL",
        "aim",
        "legacy data",
        against(LEGACY, ("bc", "ma-iql"), HIGHER),
    ),
    Claim(
        "legacy-heuristics",
        "From logs of heuristics, NetWorld becomes better than the best of them",
        "aim",
        "legacy data",
        tuple(
            Comparison(task, LEGACY, name, HIGHER)
            for task, names in HEURISTICS.items()
            for name in names
        ),
    ),
    Claim(
        "deployments-four",
        "In another deployment, NetWorld reaches with 4 episodes 95% of what it reaches there "
        "with all data",
        "aim",
        "expert data of the other deployments",
        carried(4, "networld", 450, share=0.95),
    ),
    Claim(
        "deployments-one",
        "In another deployment, tuning on one episode is never worse than no tuning",
        "aim",
        "expert data of the other deployments",
        carried(1, "networld (not tuned)", 1),
    ),
    Claim(
        "transfer-deployments",
        "In another deployment, a model of the default one is worth more with 4 episodes than "
        "training from scratch and, in one deployment of each task, than random frozen networks "
        "and than a model trained on shuffled data",
        "aim",
        "expert data of the other deployments",
        worth(),
    ),
    Claim(
        "station",
        f"One station decides within {STATION_LIMIT_MS:g} ms",
        "aim",
        "one core",
        tuple(
            Comparison(task, Pick("networld", "cost"), None, at_most(STATION_LIMIT_MS), "ms")
            for task in TASKS
        ),
        measure=Scores.station_ms,
        unit="ms",
        is_exact=True,
    ),
)
"""Aims of the project, see `docs/tried.md` for what was tried to reach them."""
