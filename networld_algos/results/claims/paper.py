"""Sentences of the paper (arXiv 2602.00558) that a suite tests.

The paper makes each of them for its three tasks, and about expert data. Its baselines have no
messages ("no mean field"); a comparison with the same message for everybody shows what is left of a
lead that is not the message's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from networld_algos.results.claims.claim import (
    HIGHER,
    SMOOTHER,
    TASKS,
    Claim,
    Comparison,
    within,
)
from networld_algos.results.claims.scores import Pick, Scores

NETWORLD = Pick("networld")
BASELINES = ("ma-iql", "ma-cql", "ma-dt", "ma-dd")
ALONE = " (no mean field)"
THIRTIETH = (0.025, 0.042)
"""Shares of the data around one thirtieth: 15 of 450 episodes."""
FEW = Pick("networld", "fewshot", shares=THIRTIETH)
AGENTS = {"cbf": (7.0, 37.0, 91.0), "rb": (12.0, 48.0, 96.0), "ns": (7.0, 37.0, 91.0)}
TRAINED = {"cbf": 19.0, "rb": 24.0, "ns": 19.0}
"""Number of agents in the training."""
CONTROLS = ("from scratch", "random frozen", "shuffled pre-training")
"""Controls that a model which was trained before has to beat. Without the last two, the gain over
training from scratch could come from more updates, or from any networks that stay as they are."""
STEADY = 5.0
"""A score has lasted if it fell by no more than this. The paper names no number."""


def above_all(mine: Pick, suffix: str = "") -> tuple[Comparison, ...]:
    """NetWorld above each of the paper's four baselines on every task."""
    return tuple(
        Comparison(task, mine, Pick(f"{name}{suffix}"), HIGHER)
        for task in TASKS
        for name in BASELINES
    )


def ablated(
    label: str, base: str = "networld", tasks: Sequence[str] = ("cbf", "rb")
) -> tuple[Comparison, ...]:
    """The full method above a variant without one part, on the tasks of the ablations."""
    mine, other = Pick(base, "ablation"), Pick(label, "ablation")
    return tuple(Comparison(task, mine, other, HIGHER) for task in tasks)


PAPER = (
    Claim(
        "above-published-baselines",
        "NetWorld achieves higher average rewards than MA-CQL, MA-IQL, MA-DT and MA-DD, "
        "which, as in their papers, send no messages",
        "IV-B1, Fig. 5",
        "expert data",
        above_all(NETWORLD, ALONE),
    ),
    Claim(
        "above-baselines",
        "NetWorld achieves higher average rewards than MA-CQL, MA-IQL, MA-DT and MA-DD, "
        "which have the same message",
        "IV-B1, Fig. 5",
        "expert data",
        above_all(NETWORLD),
    ),
    Claim(
        "smoother",
        "NetWorld exhibits smoother training curves after sufficient training",
        "IV-B1, Fig. 5",
        "expert data, second half of training; NetWorld and MA-DD act with averaged weights",
        tuple(
            Comparison(task, NETWORLD, Pick(name), SMOOTHER) for task in TASKS for name in BASELINES
        ),
        measure=Scores.roughness,
        unit="points of roughness",
    ),
    Claim(
        "messages",
        "Mean-field exchange of information between neighbours strengthens cooperation",
        "IV-B1, II-B",
        "expert data",
        tuple(
            Comparison(task, NETWORLD, Pick(f"networld{ALONE}"), HIGHER, "without messages")
            for task in TASKS
        ),
    ),
    Claim(
        "diffusion",
        "Designing the world model with conditional diffusion strengthens cooperation",
        "IV-B1",
        "expert data; equal minutes, settings searched for the forecast",
        tuple(
            Comparison(task, Pick("networld (plan)"), NETWORLD, HIGHER, "forecast alone")
            for task in TASKS
        ),
    ),
    Claim(
        "guidance",
        "Guidance by a classifier steers plans toward high returns",
        "II-A, III-B",
        "expert data, ablation",
        ablated("plan, no guidance", "plan"),
    ),
    Claim(
        "two-hot",
        "Two-hot coding of actions improves on one-hot coding",
        "III",
        "expert data, ablation",
        ablated("one-hot", tasks=("cbf",)),  # RB's choices have one output each
    ),
    Claim(
        "symlog",
        "Symlog makes features more comparable and stabilises learning",
        "III",
        "expert data, ablation",
        ablated("no symlog"),
    ),
    Claim(
        "thirtieth-published",
        "Pre-trained on the other two tasks, NetWorld is with one thirtieth of the target's data "
        "above the baselines with all of it, which send no messages",
        "IV-B2, Fig. 6",
        "expert data; baselines trained as in the comparison",
        above_all(FEW, ALONE),
        over_tasks=True,
    ),
    Claim(
        "thirtieth",
        "Pre-trained on the other two tasks, NetWorld is with one thirtieth of the target's data "
        "above the baselines with all of it, which have the same message",
        "IV-B2, Fig. 6",
        "expert data; baselines trained as in the comparison",
        above_all(FEW),
        over_tasks=True,
    ),
    Claim(
        "transfer-layers",
        "NetWorld leverages knowledge from the other two tasks: with one thirtieth of the data, "
        "pre-training is worth more than training from scratch, than random frozen networks and "
        "than pre-training on shuffled data",
        "IV-B2, Fig. 6",
        "expert data",
        tuple(
            Comparison(
                task,
                FEW,
                replace(FEW, label=f"networld ({control})"),
                HIGHER,
                control,
            )
            for task in TASKS
            for control in CONTROLS
        ),
        over_tasks=True,
    ),
    Claim(
        "agents",
        "NetWorld is robust to varying agent populations: it loses at most "
        f"{STEADY:g} points with other numbers of agents",
        "II-A",
        "expert data",
        tuple(
            Comparison(
                task,
                Pick("networld", "robustness", factor="agents", level=agents),
                Pick("networld", "robustness", factor="agents", level=TRAINED[task]),
                within(STEADY),
                f"{agents:g} agents",
            )
            for task in TASKS
            for agents in AGENTS[task]
        ),
    ),
)
"""The paper's claims, in its order."""
