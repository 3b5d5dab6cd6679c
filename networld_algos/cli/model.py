"""``networld evaluate``, ``push`` and ``health``: the commands for a trained model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.table import Table
from tyro.conf import Positional

from networld_algos.cli.terminal import console, progress_bar, score_text, task_name


def evaluate(
    checkpoint: Positional[str],
    task: str | None = None,
    episodes: int = 100,
    seed: int = 1_000,
    preset: str = "default",
    record: bool = False,
    decisions: Annotated[
        tuple[str, ...], tyro.conf.arg(name="set", metavar="NAME=VALUE"), tyro.conf.UseAppendAction
    ] = (),
    algorithm: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
) -> int:
    """Run a trained model and compare it with the reference policies.

    Args:
        checkpoint: Folder written by `networld train`, or hf://owner/name.
        task: The task, if the model has several. For your own task, always give its file:
            path/to/file.py.
        episodes: Number of episodes, all simulated as one batch.
        seed: Environment seed of the first episode. Seeds from 1000 are the benchmark's test
            networks. To choose settings, use others, such as the validation networks from 500000.
        preset: Preset of the task's parameters.
        record: Record the score beside the checkpoint, for the model card on the Hub.
        decisions: Override a setting that is read only when acting, e.g. decode=sample. Repeat the
            option for several settings.
        algorithm: File of the model's algorithm if it is your own: path/to/file.py:ClassName.
    """
    from networld_algos.results.stats import normalised_score, t_interval
    from networld_algos.training.checkpoint import load
    from networld_algos.training.cpu import configure_cpu
    from networld_algos.training.evaluate import evaluate as run
    from networld_algos.training.hub import fetch, record_score
    from networld_envs.policies import usable_policies
    from networld_envs.policies.references import reference_rewards
    from networld_envs.simulator import MAX_CYCLES, TASKS, make_params

    configure_cpu()
    add_algorithms(algorithm)
    if episodes < 2:
        raise ValueError(f"--episodes must be at least 2, got {episodes}")
    if record and decisions:
        raise ValueError("--record is for the model as it was saved; leave out --set")
    if record and checkpoint.startswith("hf://"):
        raise ValueError("--record writes beside the checkpoint; give a local folder, not hf://")
    folder = fetch(checkpoint)
    task = task and task_name(task)
    model, _ = load(folder, expect_task=task)
    model.reconfigure(**dict(_setting(text) for text in decisions))
    task = task or _only_task(model.specs)
    if task not in TASKS:
        raise ValueError(
            f"{checkpoint} was trained for your own task {task!r}; give its file: "
            "--task path/to/file.py"
        )
    seeds = range(seed, seed + episodes)
    rewards = {}
    with progress_bar("policies") as bar:
        names = usable_policies(task, make_params(task, preset))
        line = bar.add_task(f"{model.name} on {task}, {episodes} episodes", total=1 + len(names))
        result = run(model, task, seeds, preset=preset)
        bar.advance(line)
        for name in names:
            rewards[name] = reference_rewards(task, name, seeds, MAX_CYCLES, preset=preset)
            bar.advance(line)
    ends = [float(rewards[name].mean()) for name in ("random", "expert") if name in rewards]

    def normalised(mean: float) -> float | None:
        scaled = len(ends) == 2 and ends[0] < ends[1]
        return float(normalised_score(mean, *ends)) if scaled else None

    table = Table(title=f"{task}: average reward per agent and step, {episodes} episodes")
    for heading in ("policy", "mean  [95% interval]", "normalised score"):
        table.add_column(heading)
    intervals = {
        name: t_interval(values)
        for name, values in {model.name: result.episode_rewards, **rewards}.items()
    }
    for name, found in sorted(intervals.items(), key=lambda item: item[1].value):
        share = normalised(found.value)
        score = "no scale" if share is None else f"{share:.1f}"
        text = score_text(found.value, found.low, found.high)
        style = "bold" if name == model.name else None
        table.add_row(name, text, score, style=style)
    console.print(table)
    if record:
        interval = intervals[model.name]
        kept = {"task": task, "preset": preset, "episodes": episodes, "mean": result.mean}
        kept |= {"low": interval.low, "high": interval.high}
        record_score(folder, {**kept, "normalised": normalised(result.mean)})
    console.print(
        f"time of one decision for all agents of {episodes} episodes: median "
        f"{result.latency_p50_ms:.1f} ms, 99th percentile {result.latency_p99_ms:.1f} ms; "
        f"{result.bytes_per_step:.0f} bytes sent per agent and step"
    )
    return 0


def push(
    checkpoint: Positional[Path],
    repo: Positional[str],
    private: bool = False,
    algorithm: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
) -> int:
    """Upload a trained model and its model card to the Hugging Face Hub.

    Args:
        checkpoint: Folder written by `networld train`.
        repo: Repository as owner/name; it is created if it does not exist.
        private: Create the repository as private.
        algorithm: File of the model's algorithm if it is your own: path/to/file.py:ClassName.
    """
    from networld_algos.training.hub import push_to_hub

    add_algorithms(algorithm)
    console.print(f"uploaded {push_to_hub(checkpoint, repo, private=private)}")
    return 0


def health(
    checkpoint: Positional[str],
    task: str | None = None,
    dataset: str | None = None,
    episodes: int = 16,
    algorithm: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
) -> int:
    """Diagnose a trained model: values, their healthy ranges and their meaning.

    NetWorld has diagnostics of its latent space. Your own algorithm has those that its `health`
    returns. The exit status is 1 if a value is out of its healthy range.

    Args:
        checkpoint: Folder written by `networld train`, or hf://owner/name.
        task: The task, if the model has several; for your own task, its name or path/to/file.py.
        dataset: Minari dataset to measure on. By default, the episodes that `networld train` held
            out of the model's training data.
        episodes: Maximum number of episodes to measure on, at most 16.
        algorithm: File of the model's algorithm if it is your own: path/to/file.py:ClassName.
    """
    import numpy as np

    from networld_algos.data.episodes import HEALTH_EPISODES, HOLDOUT
    from networld_algos.data.load import load_episodes
    from networld_algos.training.checkpoint import load
    from networld_algos.training.cpu import configure_cpu
    from networld_algos.training.hub import fetch

    configure_cpu()
    add_algorithms(algorithm)
    if not 1 <= episodes <= HEALTH_EPISODES:
        raise ValueError(f"--episodes must be in 1 .. {HEALTH_EPISODES}, got {episodes}")
    task = task and task_name(task)
    model, about = load(fetch(checkpoint), expect_task=task)
    task = task or _only_task(model.specs)
    if dataset is None:
        if not {"dataset", "episodes", "seed"} <= set(about):
            raise ValueError(
                f"{checkpoint} does not record its training data; name a dataset, e.g. "
                f"--dataset networld/{task}/expert-v0"
            )
        data = load_episodes(about["dataset"], task)
        data = data.fraction(about["episodes"] / len(data), about["seed"])
        data = data.split(HOLDOUT, about["seed"])[1]
        if data is None:
            raise ValueError(
                f"{checkpoint} was trained on a single episode, so nothing was held out; name a "
                f"dataset, e.g. --dataset {about['dataset']}"
            )
        what = f"held-out episodes of {about['dataset']}"
    else:
        data, what = load_episodes(dataset, task), f"episodes of {dataset}"
    data = data.take(np.arange(min(episodes, len(data))))
    diagnostics = model.health(data)
    if not diagnostics:
        console.print(f"{model.name} has no diagnostics")
        return 0
    table = Table(title=f"health of {checkpoint} on {len(data)} {what}")
    for heading in ("diagnostic", "value", "healthy range", "meaning"):
        table.add_column(heading)
    for name, found in diagnostics.items():
        text = f"{found.value:.3g}" if found.is_healthy else f"[red]{found.value:.3g}[/]"
        table.add_row(name, text, found.healthy_range, found.meaning)
    console.print(table)
    return 0 if all(found.is_healthy for found in diagnostics.values()) else 1


def _setting(text: str) -> tuple[str, Any]:
    """Name and value of ``NAME=VALUE``; a value that is not JSON is taken as text."""
    name, given, value = text.partition("=")
    if not given or not name:
        raise ValueError(f"--set takes NAME=VALUE, e.g. deviation=0, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _only_task(specs: Mapping[str, Any]) -> str:
    if len(specs) > 1:
        raise ValueError(f"the model has several tasks; choose one with --task: {sorted(specs)}")
    return next(iter(specs))


def add_algorithms(sources: Sequence[str]) -> list[str]:
    """Add user-defined algorithms, ``path/to/file.py:ClassName``; returns their names."""
    from networld_algos.plugin import add_algorithm

    return [add_algorithm(source) for source in sources]
