"""``networld reference``: the scores of the reference policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from networld_algos.cli.terminal import console, progress_bar, score_text, task_name

if TYPE_CHECKING:
    from networld_envs.policies.references import Score


def reference(
    task: str | None = None,
    policies: tuple[str, ...] = (),
    episodes: int = 200,
    preset: str | None = None,
    with_metrics: bool = False,
    record: bool = False,
) -> int:
    """Score the reference policies: mean reward per agent and step with a 95% interval.

    Args:
        task: cbf, rb, ns, or your own task: path/to/file.py. By default, all tasks at all presets
            with committed scores.
        policies: Policies to score. By default, all that can act with the preset.
        episodes: Number of episodes. All policies are scored on the same networks.
        preset: Preset of the task's parameters; "default" if a task is given.
        with_metrics: Also show the means of the task's metrics (rates, drops, ...).
        record: Write the scores of all policies into the package's table (for maintainers).
    """
    from networld_envs.policies.references import record_scores
    from networld_envs.simulator import TASKS, about

    if task is None and (preset is not None or policies):
        raise ValueError("--preset and --policies need --task")
    if record and policies:
        raise ValueError("--record needs all policies of a preset; leave out --policies")
    if task is not None:
        task = task_name(task)
        chosen = {task: (preset or "default",)}
    else:
        chosen = {name: tuple(about(name).recorded) for name in TASKS}
    for name, presets in chosen.items():
        for which in presets:
            scores = _score_policies(name, which, policies, episodes)
            _show_scores(name, which, scores, episodes, with_metrics)
            if record:
                console.print(f"recorded in {record_scores(name, scores, which)}")
    return 0


def _score_policies(
    task: str, preset: str, policies: Sequence[str], episodes: int
) -> dict[str, Score]:
    from networld_envs.policies import get_policy, usable_policies
    from networld_envs.policies.references import measure
    from networld_envs.simulator import MAX_CYCLES, about, make_params

    settings = about(task).recorded.get(preset, {})
    made = make_params(task, preset)
    names = policies or usable_policies(task, made)
    for name in names:
        get_policy(task, name, made)
    batch = 50
    scores = {}
    with progress_bar("steps") as bar:
        total = len(names) * settings.get("max_cycles", MAX_CYCLES) * -(-episodes // batch)
        line = bar.add_task(f"{task} ({preset}) reference policies", total=total)
        for name in names:
            scores[name] = measure(
                task,
                name,
                episodes,
                batch=batch,
                preset=preset,
                on_step=lambda: bar.advance(line),
                **settings,
            )
    return scores


def _show_scores(
    task: str, preset: str, scores: Mapping[str, Score], episodes: int, with_metrics: bool
) -> None:
    from networld_envs.policies import get_policy

    table = Table(title=f"{task} ({preset}): mean reward per agent and step, {episodes} episodes")
    metrics = list(next(iter(scores.values()))["metrics"]) if with_metrics else []
    for heading in ("policy", "role", "mean  [95% interval]", *metrics, "what it does"):
        table.add_column(heading)
    for name, score in scores.items():
        policy = get_policy(task, name)
        text = score_text(score["mean"], score["low"], score["high"])
        numbers = [f"{score['metrics'][key]:.3g}" for key in metrics]
        table.add_row(name, policy.role, text, *numbers, policy.summary)
    console.print(table)
