"""``networld reference``: the scores of the reference policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from networld_algos.cli.tables import AsJson, Column, Listing, show
from networld_algos.cli.terminal import console, interval_text, progress_bar, task_name
from networld_algos.results.text import count

if TYPE_CHECKING:
    from networld_envs.policies.references import Score


def reference(
    task: str | None = None,
    policies: tuple[str, ...] = (),
    episodes: int = 200,
    preset: str | None = None,
    with_metrics: bool = False,
    record: bool = False,
    as_json: AsJson = False,
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
        as_json: Print JSON instead of tables.
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
    rows: list[dict[str, Any]] = []
    for name, presets in chosen.items():
        for which in presets:
            scores = _score_policies(name, which, policies, episodes)
            rows += _rows(name, which, scores)
            if not as_json:
                _show_scores(name, which, rows, episodes, with_metrics)
            if record:
                place = record_scores(name, scores, which)
                if not as_json:
                    console.print(f"recorded in {place}")
    if as_json:
        show(Listing("policies", COLUMNS, rows), as_json=True, episodes=episodes)
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


COLUMNS = (
    Column("task"),
    Column("preset"),
    Column("policy"),
    Column("role"),
    Column("mean", text="{:.3f}".format, right=True),
    Column("interval", "95% interval", interval_text),
    Column("metrics"),
    Column("what_it_does", prose=True),
)


def _rows(task: str, preset: str, scores: Mapping[str, Score]) -> list[dict[str, Any]]:
    from networld_envs.policies import get_policy

    return [
        {
            "task": task,
            "preset": preset,
            "policy": name,
            "role": get_policy(task, name).role,
            "mean": score["mean"],
            "interval": [score["low"], score["high"]],
            "metrics": score["metrics"],
            "what_it_does": get_policy(task, name).summary,
        }
        for name, score in scores.items()
    ]


def _show_scores(
    task: str, preset: str, rows: Sequence[dict[str, Any]], episodes: int, with_metrics: bool
) -> None:
    """Print the rows of one task and preset, on request with a column per metric."""
    mine = [row for row in rows if (row["task"], row["preset"]) == (task, preset)]
    metrics = list(mine[0]["metrics"]) if with_metrics else []
    columns = [c for c in COLUMNS if c.key not in ("task", "preset", "metrics")]
    columns[-1:-1] = [Column(key, key, "{:.3g}".format, right=True) for key in metrics]
    title = f"{task} ({preset}): mean reward per agent and step, {count(episodes, 'episode')}"
    show(Listing("policies", columns, [{**row["metrics"], **row} for row in mine], title))
