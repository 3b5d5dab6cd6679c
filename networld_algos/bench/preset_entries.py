"""Entries, ablations and solver settings of the suites that come with the package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from networld_algos.bench.parts import Entry
from networld_algos.bench.runs import Condition

PLAN: dict[str, Any] = {
    "planner": "diffusion",
    "horizon": 2,
    "mults": (1,),
    "sequences": 384,
    "deviation": 1.0,
}
"""A noise model that sees as many transitions per update as the forecast, and whose plans are
followed completely."""
PLANNING = "networld (plan)"
"""Label of NetWorld with `PLAN`, and of the rates of all variants that train a noise model."""
SHARED = {"return_of": "neighbourhood"}

EVERY_ALGORITHM = tuple(
    Entry(name, config={} if name in ("networld", "bc") else SHARED)
    for name in ("networld", "bc", "ma-iql", "ma-cql", "ma-dt", "ma-dd")
)
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
    Entry("networld", "networld (shuffled pre-training)", pretrained=True, shuffled=True),
)
"""NetWorld in the few-shot part, with the controls that every few-shot result needs."""


def comparison(
    updates: dict[str, int], pace: dict[str, dict[str, float]] | None = None
) -> tuple[Entry, ...]:
    """Every method with the same message, and as in its paper.

    All methods combine messages in the same way. The papers of the baselines have no messages:
    entries "(no mean field)" are run on expert data only. "bc (arithmetic mean)" shows there what
    the way of combining is worth. Baselines with a message also learn from the neighbourhood's
    reward, unless the search chose otherwise. "networld (plan)" draws plans with a noise model,
    which by default does not exist.

    Args:
        updates: Algorithm -> gradient steps of a training.
        pace: Algorithm -> `Entry.pace`.
    """

    def entry(algorithm: str, label: str = "", **config: Any) -> Entry:
        return Entry(
            algorithm,
            label,
            config,
            updates=updates[algorithm],
            pace=(pace or {}).get(algorithm, {}),
        )

    def on_expert(algorithm: str, label: str, **config: Any) -> Entry:
        return replace(entry(algorithm, f"{algorithm} ({label})", **config), qualities=("expert",))

    baselines = ("ma-iql", "ma-cql", "ma-dt", "ma-dd")
    return (
        entry("networld"),
        entry("bc"),
        *(entry(name, **SHARED) for name in baselines),
        replace(entry("networld", PLANNING, **PLAN), qualities=("expert", "mixed")),
        on_expert("networld", "no mean field", mean_field=False, return_of="agent"),
        on_expert("bc", "arithmetic mean", message="features", aggregate="mean"),
        on_expert("bc", "no mean field", mean_field=False),
        *(on_expert(n, "no mean field", mean_field=False, return_of="agent") for n in baselines),
    )


MAIN_DEPLOYMENTS = ("dense", "ring6", "hotspots")
"""One deployment of each task, on which suites run everything; on the others they run less."""


def on_deployments(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Models of the comparison that are tuned to another deployment, with their controls.

    Controls are training from scratch, the model as it is, untrained networks of which only the
    task's own are fitted, and a model that was trained on shuffled data.

    Args:
        entries: Entries of the comparison, whose settings these have.
    """
    by_label = {entry.label: entry for entry in entries}
    main: dict[str, Any] = {"deployments": MAIN_DEPLOYMENTS}

    def of(algorithm: str, control: str = "", config: Any = None, **changes: Any) -> Entry:
        entry = by_label[algorithm]
        return Entry(
            algorithm,
            f"{algorithm} ({control})" if control else algorithm,
            {**entry.config, **(config or {})},
            by_data=entry.by_data,
            pretrained=control != "from scratch",
            **changes,
        )

    return (
        of("networld"),
        of("networld", "from scratch"),
        of("networld", "not tuned", tuned=False),
        of("networld", "random frozen", {"adapt_shared": "frozen"}, pretrain_updates=0, **main),
        of("networld", "shuffled pre-training", shuffled=True, **main),
        of("bc", **main),
        of("bc", "from scratch", **main),
        of("bc", "not tuned", tuned=False, **main),
        of("ma-iql", **main),
        of("ma-iql", "not tuned", tuned=False, **main),
    )


def ablations() -> tuple[Entry, ...]:
    """NetWorld, and variants of it that change one part each.

    Variants of the sampler are compared with "plan".
    """
    variants: dict[str, dict[str, Any]] = {
        "networld": {},
        "no mean field": {"mean_field": False, "return_of": "agent"},
        "published message": {"message": "latent", "aggregate": "mean"},
        "arithmetic mean": {"aggregate": "mean"},
        "soft maximum, no difference": {"aggregate": "softmax"},
        "message of features": {"message": "features"},
        "listed users as columns": {"entities": "flat"},
        "no action slot": {"action_slot": 0.0, "act_by": "inverse"},
        "plan": PLAN,
        "plan, a tenth of it": {**PLAN, "deviation": 0.1},
        "plan, no forecast": {**PLAN, "forecast": False},
        "plan, temperature 0": {**PLAN, "temperature": 0.0},
        "plan, no guidance": {**PLAN, "guidance": "none"},
        "plan, selection": {**PLAN, "guidance": "select"},
        "plan, 10 solver steps": {**PLAN, "steps": 10},
        "plan, 4 steps ahead": {**PLAN, "horizon": 4, "mults": (1, 2)},
        "plan, end-to-end encoder": {**PLAN, "encoder_grad": "end_to_end"},
        "one-hot": {"coding": "onehot"},
        "no symlog": {"features": "linear", "coding": "uniform"},
        "trained encoder": {"encoder_grad": "inverse+reconstruction"},
    }
    rates = {"no mean field": "networld (no mean field)"}
    return tuple(
        Entry(
            "networld",
            label,
            config,
            rates_of=PLANNING if config.get("planner") == PLAN["planner"] else rates.get(label, ""),
        )
        for label, config in variants.items()
    )


def cost_curve() -> tuple[Condition, ...]:
    """Solver steps with and without guidance, and numbers of candidates to choose from.

    Guidance skips the last two steps, so it needs at least three.
    """
    free = [
        Condition(
            f"networld ({solver}, unguided)",
            "steps",
            float(steps),
            decision={"solver": solver, "steps": steps, "guidance": "none"},
        )
        for solver, every in (
            ("ddim", (1, 2, 3, 5, 10, 20)),
            ("dpm-solver++", (2, 5, 10)),
            ("ddpm", (5, 20, 50)),
        )
        for steps in every
    ]
    guided = [
        Condition("networld (plan)", "steps", float(steps), decision={"steps": steps})
        for steps in (3, 5, 10, 20)
    ]
    chosen = [
        Condition(
            "networld (selection)",
            "candidates",
            float(count),
            decision={"guidance": "select", "candidates": count},
        )
        for count in (2, 4, 8, 16)
    ]
    return (*guided, *free, *chosen)
