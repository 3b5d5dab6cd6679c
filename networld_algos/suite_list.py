"""The suites that come with the package: `smoke`, `demo`, `cpu` and `paper`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from networld_algos.runs import Condition
from networld_algos.suites import Ablation, Cost, Entry, FewShot, Robustness, Suite

TASKS = ("cbf", "rb", "ns")
ADVANTAGE: dict[str, Any] = {"weighting": "advantage", "weighting_beta": 0.5}
BY_QUALITY: dict[str, dict[str, dict[str, Any]]] = {
    "networld": {"medium": ADVANTAGE, "mixed": ADVANTAGE}
}
"""Settings that depend on who made the data: weights where actions differ in worth."""
PLANNERS = {"networld": {}, "networld (regression)": {"deviation": 0.0}}
"""The whole method, and the same networks without diffusion: next-latent regression, the control.

No loss of the noise model reaches what forecast, message and inverse dynamics are made of."""
IQL_DECISIONS = {"ma-iql": {"decode": "argmax"}, "ma-iql (sample)": {"decode": "sample"}}
SHARED = {"return_of": "neighbourhood"}
LIGHT_CQL = {"batch_size": 4}
LIGHT_DT = {"batch_size": 4, "sequences": 16, "context": 10, "kept": 5, "learning_rate": 1e-3}
BC_DECISIONS = {
    "bc (argmax)": {"decode": "argmax"},
    "bc (sample)": {"decode": "sample"},
    "bc (expectation)": {"decode": "expectation"},
}

_ZOO = (
    Entry("networld"),
    Entry("bc"),
    Entry("ma-iql", config=SHARED),
    Entry("ma-cql", config={**LIGHT_CQL, **SHARED}),
    Entry("ma-dt", config={**LIGHT_DT, **SHARED}),
    Entry("ma-dd", config=SHARED),
)
"""Every algorithm: the slow ones on less an update than by default, MA-DT at a higher rate."""
_FEWSHOT = (
    Entry("networld", pretrained=True),
    Entry("networld", "networld (from scratch)"),
    Entry("bc"),
)
_CONTROLS = (
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
    updates: dict[str, int], pace: dict[str, dict[str, float]] | None = None
) -> tuple[Entry, ...]:
    """NetWorld and its controls; every baseline with the mean field and, as published, without.

    With the mean field, baselines also learn from the neighbourhood's reward, as NetWorld does. The
    entries without it are on expert data only. On data of mixed worth NetWorld weights steps by
    their advantage. "networld (regression)" is the same networks without diffusion.

    Args:
        updates: Algorithm -> gradient steps of a training.
        pace: Algorithm -> `Entry.pace`.
    """

    def entry(algorithm: str, label: str = "", **config: Any) -> Entry:
        return Entry(
            algorithm,
            label,
            config,
            by_quality=BY_QUALITY.get(algorithm, {}),
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
    light: dict[str, dict[str, Any]] = {"ma-cql": dict(LIGHT_CQL), "ma-dt": dict(LIGHT_DT)}
    others = []
    for name in ("ma-cql", "ma-iql", "ma-dt", "ma-dd"):
        config = light.get(name, {})
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
        updates: Gradient steps of a training; where they equal the comparison's, and an entry
            differs only in how it decides, nothing is trained.
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
        "least-squares return": {"return_head": "mse"},
        "one-hot": {"coding": "onehot"},
        "no symlog": {"features": "linear", "symlog": False},
        "end-to-end encoder": {"encoder_grad": "end_to_end"},
        "horizon 8": {"horizon": 8},
    }
    return tuple(
        Entry("networld", label, config, updates=updates) for label, config in variants.items()
    )


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


CPU_UPDATES = {
    "networld": 1_800,
    "bc": 2_400,
    "ma-cql": 900,
    "ma-iql": 2_400,
    "ma-dt": 1_000,
    "ma-dd": 2_000,
}
"""Within a factor of three of equal time, NetWorld's being the longest, rather than equal steps."""
CPU_PACE = {
    "cbf": 2.4,
    "cbf/medium": 0.5,
    "cbf/mixed": 0.5,
    "rb": 1.4,
    "rb/medium": 0.7,
    "rb/mixed": 0.7,
    "ns": 0.25,
}
"""CBF generalises over geometry: what its expert does takes longest to learn. NS is done early.
More of data of mixed worth does not pay: NetWorld on `rb` medium scores 83.7 after 1,260 updates
and 78.1 after 2,520 (validation, one seed)."""
CPU_ALGORITHM_PACE = {
    "ma-cql": {"rb": 4.0, "ns": 4.0},
    "ma-dt": {"ns": 3.0},
    "ma-dd": {"ns": 2.0},
}
"""Where these would otherwise train for a small part of the time that the others do."""
PAPER_UPDATES = dict.fromkeys(CPU_UPDATES, 100_000)

ZOO_LABELS = tuple(CPU_UPDATES)

SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            name="smoke",
            tasks=TASKS,
            entries=_ZOO,
            seeds=1,
            updates=20,
            data_episodes=4,
            evaluations=2,
            eval_episodes=2,
            fewshot=FewShot(
                entries=_FEWSHOT,
                fractions=(0.25, 1.0),
                seeds=1,
                updates=10,
                pretrain_updates=10,
            ),
            ablation=Ablation(
                (Entry("networld"), Entry("networld", "no guidance", {"guidance": "none"})), seeds=1
            ),
            robustness=Robustness(
                ("networld", "bc"), seeds=1, agents=False, message_loss=(0.0, 0.6)
            ),
            cost=Cost(
                ("networld", "bc"),
                seeds=1,
                curves={"networld": (Condition("networld", "steps", 3.0, decision={"steps": 3}),)},
            ),
        ),
        Suite(
            name="demo",
            tasks=TASKS,
            entries=_ZOO,
            seeds=2,
            updates=250,
            data_episodes=100,
            evaluations=3,
            eval_episodes=16,
            fewshot=FewShot(
                entries=_FEWSHOT,
                fractions=(0.01, 0.1),
                seeds=1,
                updates=100,
                pretrain_updates=200,
            ),
        ),
        Suite(
            name="cpu",
            tasks=TASKS,
            entries=comparison(CPU_UPDATES, CPU_ALGORITHM_PACE),
            seeds=5,
            updates=CPU_UPDATES["networld"],
            pace=CPU_PACE,
            qualities=("expert", "medium", "mixed"),
            evaluations=3,
            eval_episodes=32,
            fewshot=FewShot(
                entries=(*_CONTROLS, Entry("bc"), Entry("ma-dd", config=SHARED)),
                fractions=(0.002, 0.01, 0.033, 1.0),
                seeds=3,
                updates=300,
                pretrain_updates=600,
                early_stop=True,
            ),
            ablation=Ablation(ablations(CPU_UPDATES["networld"] // 2), seeds=3, tasks=("rb",)),
            robustness=Robustness(
                labels=("networld", "networld (no mean field)", "bc"),
                seeds=3,
            ),
            cost=Cost(
                labels=ZOO_LABELS,
                seeds=2,
                curves={"networld": cost_curve()},
            ),
        ),
        Suite(
            name="paper",
            tasks=TASKS,
            entries=(
                *comparison(PAPER_UPDATES),
                Entry("networld", "networld (faithful)", preset="faithful"),
            ),
            seeds=10,
            updates=100_000,
            qualities=("expert", "medium", "mixed"),
            evaluations=20,
            eval_episodes=100,
            fewshot=FewShot(
                entries=(
                    *_CONTROLS,
                    Entry("networld", "networld (faithful)", preset="faithful", pretrained=True),
                    Entry("bc"),
                    Entry("ma-dd", config=SHARED),
                ),
                fractions=(0.002, 0.01, 0.033, 0.1, 0.33, 1.0),
                seeds=10,
                updates=20_000,
                pretrain_updates=100_000,
                early_stop=True,
            ),
            ablation=Ablation(ablations(PAPER_UPDATES["networld"]), seeds=10),
            robustness=Robustness(
                labels=("networld", "networld (no mean field)", "bc"),
                seeds=10,
            ),
            cost=Cost(
                labels=(
                    "networld",
                    "networld (faithful)",
                    "bc",
                    "ma-iql",
                    "ma-cql",
                    "ma-dt",
                    "ma-dd",
                ),
                seeds=3,
                curves={"networld": cost_curve()},
            ),
        ),
    )
}


def get_suite(name: str) -> Suite:
    """A suite by name.

    Raises:
        ValueError: If there is none; lists the valid ones.
    """
    if name not in SUITES:
        raise ValueError(f"unknown suite {name!r}; valid suites: {', '.join(SUITES)}")
    return SUITES[name]
