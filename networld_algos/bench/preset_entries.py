"""Entries, ablations and solver settings of the suites that come with the package."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from networld_algos.bench.parts import Entry
from networld_algos.bench.runs import Condition

LATER: dict[str, Any] = {"weighting": "advantage", "weighting_beta": 0.5}
"""Advantage weights where a good action shows in later rewards and in those of neighbours: RB and
CBF's mixed data."""
AT_ONCE: dict[str, Any] = {
    "weighting": "advantage",
    "weighting_beta": 3.0,
    "value_discount": 0.0,
    "return_of": "agent",
}
"""Advantage weights where a good action shows in the agent's next reward. CBF has no queues, and
its reward includes what neighbours lose to the agent; a split of NS serves the next window."""
IQL_AT_ONCE: dict[str, Any] = {"beta": 3.0, "discount": 0.0, "return_of": "agent"}
BY_DATA: dict[str, dict[str, dict[str, Any]]] = {
    "networld": {
        "cbf": {"learning_rate": 2e-3},
        "rb/expert": {"encoder_grad": "none"},
        **dict.fromkeys(("rb/medium", "rb/mixed", "rb/legacy", "cbf/mixed"), LATER),
        **dict.fromkeys(
            ("cbf/medium", "cbf/legacy", "ns/medium", "ns/mixed", "ns/legacy"), AT_ONCE
        ),
    },
    "bc": {"rb/expert": {"learning_rate": 2e-3}},
    "ma-cql": {"ns": {"learning_rate": 1e-3, "actor_learning_rate": 1e-3}},
    "ma-iql": {
        "cbf": {"learning_rate": 2e-3},
        "rb/expert": {"learning_rate": 2e-3},
        **dict.fromkeys(("ns/medium", "ns/mixed", "ns/legacy"), IQL_AT_ONCE),
    },
}
"""Settings of comparison and ablations that depend on the data: advantage weights for data of mixed
quality, and what suited a task on validation networks (`docs/tried.md`)."""
PLANNERS = {"networld": {}, "networld (regression)": {"deviation": 0.0}}
"""The full method, and a control that decides by regression of the next latent, without diffusion.

Both use the same trained networks. The noise model affects the control's weights only through the
task embedding and the joint gradient clipping. The ablation "trained as regression" has no noise
model at all."""
IQL_DECISIONS = {"ma-iql": {"decode": "argmax"}, "ma-iql (sample)": {"decode": "sample"}}
SHARED = {"return_of": "neighbourhood"}
LIGHT_CQL = {"batch_size": 4}
LIGHT_DT = {"batch_size": 4, "sequences": 16, "context": 10, "kept": 5, "learning_rate": 1e-3}
BC_DECISIONS = {
    "bc (argmax)": {"decode": "argmax"},
    "bc (sample)": {"decode": "sample"},
    "bc (expectation)": {"decode": "expectation"},
}

EVERY_ALGORITHM = (
    Entry("networld", by_data=BY_DATA["networld"]),
    Entry("bc"),
    Entry("ma-iql", config=SHARED),
    Entry("ma-cql", config={**LIGHT_CQL, **SHARED}),
    Entry("ma-dt", config={**LIGHT_DT, **SHARED}),
    Entry("ma-dd", config=SHARED),
)
"""Every algorithm. The slow ones use less data per update than by default, MA-DT a higher rate."""
FEWSHOT = (
    Entry("networld", pretrained=True),
    Entry("networld", "networld (from scratch)"),
    Entry("bc"),
)
CONTROLS = (
    Entry("networld", pretrained=True),
    Entry("networld", "networld (from scratch)"),
    Entry("networld", "networld (no fine-tuning)", {"adapt_shared": "frozen"}, pretrained=True),
    Entry(
        "networld",
        "networld (random frozen)",
        {"adapt_shared": "frozen"},
        pretrained=True,
        pretrain_updates=0,
    ),
)
"""NetWorld in the few-shot part, with the controls that every few-shot result needs."""


def comparison(
    updates: dict[str, int], pace: dict[str, dict[str, float]] | None = None, light: bool = False
) -> tuple[Entry, ...]:
    """NetWorld with its controls, and every baseline with and without messages.

    All methods combine messages in the same way. "bc (arithmetic mean)" shows what that way is
    worth. The papers of the baselines have no messages. Baselines with it also learn from the
    neighbourhood's reward, unless `BY_DATA` says otherwise. Entries without it are run on expert
    data only. On data of mixed quality NetWorld weights steps by their advantage.
    "networld (regression)" uses the same networks without diffusion.

    Args:
        updates: Algorithm -> gradient steps of a training.
        pace: Algorithm -> `Entry.pace`.
        light: For small budgets: smaller batches for MA-CQL and MA-DT, so that they get more
            updates in the same time.
    """

    def entry(algorithm: str, label: str = "", **config: Any) -> Entry:
        return Entry(
            algorithm,
            label,
            config,
            by_data=BY_DATA.get(algorithm, {}),
            updates=updates[algorithm],
            pace=(pace or {}).get(algorithm, {}),
        )

    def alone(algorithm: str, **config: Any) -> Entry:
        label = f"{algorithm} (no mean field)"
        return replace(entry(algorithm, label, **config), qualities=("expert",))

    networld = (
        replace(entry("networld"), decisions=PLANNERS),
        alone("networld", mean_field="off", return_of="agent"),
    )
    cloning = (
        replace(entry("bc"), decisions=BC_DECISIONS),
        alone("bc", mean_field=False),
        entry("bc", "bc (arithmetic mean)", message="features", aggregate="mean"),
    )
    lighter: dict[str, dict[str, Any]] = {"ma-cql": LIGHT_CQL, "ma-dt": LIGHT_DT} if light else {}
    others = []
    for name in ("ma-cql", "ma-iql", "ma-dt", "ma-dd"):
        config = lighter.get(name, {})
        full = entry(name, **config, return_of="neighbourhood")
        if name == "ma-iql":
            full = replace(full, decisions=IQL_DECISIONS)
        others += [alone(name, **config, mean_field=False), full]
    return (*networld, *cloning, *others)


def ablations(updates: int) -> tuple[Entry, ...]:
    """NetWorld, and variants of it that change one part each.

    Variants of the sampler follow the plan completely and are compared with "whole plan". By
    default only a small share of a plan is followed, which would hide their effect.

    Args:
        updates: Gradient steps of a training.
    """
    whole = {"deviation": 1.0}
    variants: dict[str, dict[str, Any]] = {
        "networld": {},
        "no mean field": {"mean_field": "off"},
        "mean field in classifier only": {"mean_field": "classifier"},
        "published message": {"message": "latent", "aggregate": "mean"},
        "arithmetic mean": {"aggregate": "mean"},
        "soft maximum, no difference": {"aggregate": "softmax"},
        "message of features": {"message": "features"},
        "no action slot": {"action_slot": 0.0},
        "whole plan": whole,
        "whole plan, no forecast": {**whole, "forecast": False},
        "whole plan, temperature 0": {**whole, "temperature": 0.0},
        "whole plan, no guidance": {**whole, "guidance": "none"},
        "whole plan, selection": {**whole, "guidance": "select"},
        "whole plan, 10 solver steps": {**whole, "steps": 10},
        "trained as regression": {"planner": "regression"},
        "least-squares return": {"return_head": "mse"},
        "one-hot": {"coding": "onehot"},
        "no symlog": {"features": "linear", "symlog": False},
        "trained encoder": {"encoder_grad": "inverse+reconstruction"},
        "end-to-end encoder": {"encoder_grad": "end_to_end"},
        "horizon 8": {"horizon": 8},
    }
    return tuple(
        Entry("networld", label, config, by_data=_beside(config), updates=updates)
        for label, config in variants.items()
    )


def _beside(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """NetWorld's settings by data, without the fields that an ablation sets."""
    return {
        data: {name: value for name, value in fields.items() if name not in config}
        for data, fields in BY_DATA["networld"].items()
    }


def cost_curve() -> tuple[Condition, ...]:
    """Solver steps with and without guidance, and numbers of candidates to choose from.

    Plans are followed completely, so that the score is that of the sampler. Guidance skips the
    last two steps, so it needs at least three.
    """
    free = [
        Condition(
            f"networld ({solver}, unguided)",
            "steps",
            float(steps),
            decision={"deviation": 1.0, "solver": solver, "steps": steps, "guidance": "none"},
        )
        for solver, every in (
            ("ddim", (1, 2, 3, 5, 10, 20)),
            ("dpm-solver++", (2, 5, 10)),
            ("ddpm", (5, 20, 50)),
        )
        for steps in every
    ]
    guided = [
        Condition(
            "networld (whole plan)",
            "steps",
            float(steps),
            decision={"deviation": 1.0, "steps": steps},
        )
        for steps in (3, 5, 10, 20)
    ]
    chosen = [
        Condition(
            "networld (selection)",
            "candidates",
            float(count),
            decision={"guidance": "select", "deviation": 1.0, "candidates": count},
        )
        for count in (2, 4, 8, 16)
    ]
    return (*guided, *free, *chosen)
