"""Who takes part in the suites that come with the package: entries, ablations, solver settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from networld_algos.bench.parts import Entry
from networld_algos.bench.runs import Condition

LATER: dict[str, Any] = {"weighting": "advantage", "weighting_beta": 0.5}
"""Weights where actions differ in worth and it shows in later rewards, of neighbours too: RB. On
CBF's mixed data it does as well as what follows."""
AT_ONCE: dict[str, Any] = {
    "weighting": "advantage",
    "weighting_beta": 3.0,
    "value_discount": 0.0,
    "return_of": "agent",
}
"""The same where it shows in the agent's next reward: CBF queues nothing and counts there what
neighbours lose to the agent, and a split of NS serves the window that follows."""
IQL_AT_ONCE: dict[str, Any] = {"beta": 3.0, "discount": 0.0, "return_of": "agent"}
BY_DATA: dict[str, dict[str, dict[str, Any]]] = {
    "networld": {
        "cbf": {"learning_rate": 2e-3},
        "rb/expert": {"encoder_grad": "none"},
        **dict.fromkeys(("rb/medium", "rb/mixed", "cbf/mixed"), LATER),
        **dict.fromkeys(("cbf/medium", "ns/medium", "ns/mixed"), AT_ONCE),
    },
    "bc": {"rb/expert": {"learning_rate": 2e-3}},
    "ma-cql": {"ns": {"learning_rate": 1e-3, "actor_learning_rate": 1e-3}},
    "ma-iql": {
        "cbf": {"learning_rate": 2e-3},
        "rb/expert": {"learning_rate": 2e-3},
        **dict.fromkeys(("ns/medium", "ns/mixed"), IQL_AT_ONCE),
    },
}
"""Settings of comparison and ablations that depend on the data: weights where actions differ in
worth, and what suited a task on validation networks, with one training seed (`docs/tried.md`)."""
PLANNERS = {"networld": {}, "networld (regression)": {"deviation": 0.0}}
"""The whole method, and the same networks without diffusion: next-latent regression, the control.

The noise model reaches the control's weights only through the task's embedding and the common
clipping of gradients; the ablation "trained as regression" has no noise model at all."""
IQL_DECISIONS = {"ma-iql": {"decode": "argmax"}, "ma-iql (sample)": {"decode": "sample"}}
SHARED = {"return_of": "neighbourhood"}
LIGHT_CQL = {"batch_size": 4}
LIGHT_DT = {"batch_size": 4, "sequences": 16, "context": 10, "kept": 5, "learning_rate": 1e-3}
BC_DECISIONS = {
    "bc (argmax)": {"decode": "argmax"},
    "bc (sample)": {"decode": "sample"},
    "bc (expectation)": {"decode": "expectation"},
}

ZOO = (
    Entry("networld", by_data=BY_DATA["networld"]),
    Entry("bc"),
    Entry("ma-iql", config=SHARED),
    Entry("ma-cql", config={**LIGHT_CQL, **SHARED}),
    Entry("ma-dt", config={**LIGHT_DT, **SHARED}),
    Entry("ma-dd", config=SHARED),
)
"""Every algorithm: the slow ones on less an update than by default, MA-DT at a higher rate."""
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
"""NetWorld in the few-shot part, and the controls that every few-shot result carries."""


def comparison(
    updates: dict[str, int], pace: dict[str, dict[str, float]] | None = None, light: bool = False
) -> tuple[Entry, ...]:
    """NetWorld and its controls; every baseline with the mean field and, as its paper, without.

    With the mean field, baselines also learn from the neighbourhood's reward but where `BY_DATA`
    says otherwise. The entries without it are on expert data only. On data of mixed worth NetWorld
    weights steps by their advantage. "networld (regression)" is the same networks without
    diffusion.

    Args:
        updates: Algorithm -> gradient steps of a training.
        pace: Algorithm -> `Entry.pace`.
        light: Give MA-CQL and MA-DT more updates of less data in their time, for small budgets.
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
    """NetWorld and what is taken from it, one thing at a time.

    What is about the sampler is done on plans followed wholly, beside "whole plan": through
    the share of a plan that is followed by default it could not show.

    Args:
        updates: Gradient steps of a training.
    """
    whole = {"deviation": 1.0}
    variants: dict[str, dict[str, Any]] = {
        "networld": {},
        "no mean field": {"mean_field": "off"},
        "mean field in classifier only": {"mean_field": "classifier"},
        "latent message": {"message": "latent"},
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
    """NetWorld's settings by data, but for what an ablation sets itself."""
    return {
        data: {name: value for name, value in fields.items() if name not in config}
        for data, fields in BY_DATA["networld"].items()
    }


def cost_curve() -> tuple[Condition, ...]:
    """Solvers and their steps without guidance, and with it; numbers of candidates to choose from.

    Plans are followed wholly, so that the score is that of the sampler.

    Guidance leaves the last two steps alone, so it needs three.
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
