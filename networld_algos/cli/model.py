"""``networld evaluate``, ``push`` and ``health``: the commands for a trained model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import tyro
from tyro.conf import Positional

from networld_algos.cli.tables import AsJson, Column, Listing, show
from networld_algos.cli.terminal import console, interval_text, progress_bar, say_error, task_name
from networld_algos.results.text import count

EVALUATED = (
    Column("policy"),
    Column("mean", text="{:.3f}".format, right=True),
    Column("interval", "95% interval", interval_text),
    Column("normalised_score", text="{:.1f}".format, none="no scale", right=True),
)
DIAGNOSED = (
    Column("diagnostic"),
    Column("value", text="{:.3g}".format, right=True),
    Column("is_healthy", "healthy", lambda healthy: "yes" if healthy else "NO"),
    Column("healthy_range", prose=True),
    Column("meaning", prose=True),
)


def evaluate(
    checkpoint: Positional[str],
    task: str | None = None,
    episodes: int = 100,
    seed: int = 1_000,
    preset: str | None = None,
    record: bool = False,
    dataset: str | None = None,
    discount: float = 0.95,
    decisions: Annotated[
        tuple[str, ...], tyro.conf.arg(name="set", metavar="NAME=VALUE"), tyro.conf.UseAppendAction
    ] = (),
    algorithm: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    as_json: AsJson = False,
) -> int:
    """Run a trained model and compare it with the reference policies.

    With --dataset, nothing is simulated: the model is judged by recorded data alone, with
    estimators whose limits are printed with the numbers.

    Args:
        checkpoint: Folder written by `networld train`, pretrained:NAME or hf://owner/name.
        task: The task, if the model has several. For your own task, always give its file:
            path/to/file.py.
        episodes: Number of episodes, all simulated as one batch. With --dataset, most recorded
            episodes to fit on, and as many again to measure on.
        seed: Environment seed of the first episode. Seeds from 1000 are the benchmark's test
            networks. To choose settings, use others, such as the validation networks from 500000.
        preset: Preset of the task's parameters. By default, the network of the training data.
        record: Record the score beside the checkpoint, for the model card on the Hub.
        dataset: Dataset to judge the model by, e.g. of your own logs, instead of a simulation.
        discount: Discount of the rewards in that case.
        decisions: Override a setting that is read only when acting, e.g. decode=sample. Repeat the
            option for several settings.
        algorithm: File of the model's algorithm if it is your own: path/to/file.py:ClassName.
        as_json: Print JSON instead of a table.
    """
    from networld_algos.results.stats import normalised_score, t_interval
    from networld_algos.training.checkpoint import load_named
    from networld_algos.training.cpu import configure_cpu
    from networld_algos.training.evaluate import evaluate as run
    from networld_algos.training.hub import fetch, record_score
    from networld_algos.training.origin import difference, network_for
    from networld_envs.policies import usable_policies
    from networld_envs.policies.references import reference_rewards
    from networld_envs.simulator import MAX_CYCLES, TASKS, make_params

    configure_cpu()
    add_algorithms(algorithm)
    if episodes < 2:
        raise ValueError(f"--episodes must be at least 2, got {episodes}")
    if record and decisions:
        raise ValueError("--record is for the model as it was saved; leave out --set")
    if record and checkpoint.startswith(("hf://", "pretrained:")):
        raise ValueError(f"--record writes beside the checkpoint; give a folder, not {checkpoint}")
    if dataset is not None:
        simulated = {"--preset": preset is not None, "--record": record, "--seed": seed != 1_000}
        if wrong := [name for name, given in simulated.items() if given]:
            raise ValueError(f"{wrong[0]} is for a simulation; leave it out with --dataset")
    folder = fetch(checkpoint)
    task = task and task_name(task)
    model, extra, weights = load_named(folder, expect_task=task)
    model.reconfigure(**dict(_setting(text) for text in decisions))
    task = task or _only_task(model.specs)
    if dataset is not None:
        from networld_algos.cli.evaluate_data import evaluate_data

        return evaluate_data(model, extra, checkpoint, task, dataset, episodes, discount, as_json)
    if task not in TASKS:
        raise ValueError(
            f"{checkpoint} was trained for your own task {task!r}; give its file: "
            "--task path/to/file.py"
        )
    network = network_for(task, extra, preset)
    warning = difference(network, model, extra)
    if warning:
        say_error(f"warning: {warning}")
    simulated = {"preset": network.preset, **network.params}
    seeds = range(seed, seed + episodes)
    rewards = {}
    with progress_bar("policies") as bar:
        names = usable_policies(task, make_params(task, **simulated))
        line = bar.add_task(f"{model.name} on {task}, {episodes} episodes", total=1 + len(names))
        result = run(model, task, seeds, **simulated)
        bar.advance(line)
        for name in names:
            rewards[name] = reference_rewards(task, name, seeds, MAX_CYCLES, **simulated)
            bar.advance(line)
    ends = [float(rewards[name].mean()) for name in ("random", "expert") if name in rewards]

    def normalised(mean: float) -> float | None:
        scaled = len(ends) == 2 and ends[0] < ends[1]
        return float(normalised_score(mean, *ends)) if scaled else None

    intervals = {
        name: t_interval(values)
        for name, values in {model.name: result.episode_rewards, **rewards}.items()
    }
    rows = [
        {
            "policy": name,
            "mean": found.value,
            "interval": [found.low, found.high],
            "normalised_score": normalised(found.value),
        }
        for name, found in sorted(intervals.items(), key=lambda item: item[1].value)
    ]
    if record:
        interval = intervals[model.name]
        kept = {"task": task, "preset": network.preset, "params": dict(network.params)}
        kept |= {"episodes": episodes, "mean": result.mean, "warning": warning}
        kept |= {"low": interval.low, "high": interval.high}
        record_score(folder, weights, {**kept, "normalised": normalised(result.mean)})
    cost = {
        "latency_p50_ms": result.latency_p50_ms,
        "latency_p99_ms": result.latency_p99_ms,
        "bytes_per_step": result.bytes_per_step,
    }
    about = {"checkpoint": checkpoint, "algorithm": model.name, "task": task}
    about |= {"preset": network.preset, "params": dict(network.params)}
    about |= {"agents": network.agents, "warning": warning}
    title = f"{task}: average reward per agent and step, {count(episodes, 'episode')}"
    table = Listing("policies", EVALUATED, rows, title, strong=model.name)
    if not as_json:
        console.print(f"simulated network: {network}")
    show(table, as_json=as_json, **about, episodes=episodes, seed=seed, cost=cost)
    if not as_json:
        console.print(
            f"time of one decision for all agents of {count(episodes, 'episode')}: median "
            f"{result.latency_p50_ms:.1f} ms, 99th percentile {result.latency_p99_ms:.1f} ms; "
            f"{result.bytes_per_step:.0f} bytes sent per agent and step"
        )
    return 0


def push(
    checkpoint: Positional[str],
    repo: Positional[str],
    private: bool = False,
    algorithm: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
) -> int:
    """Upload a trained model and its model card to the Hugging Face Hub.

    Args:
        checkpoint: Folder written by `networld train`, or pretrained:NAME.
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
    as_json: AsJson = False,
) -> int:
    """Diagnose a trained model: values, their healthy ranges and their meaning.

    NetWorld has diagnostics of its latent space. Your own algorithm has those that its `health`
    returns. The exit status is 1 if a value is out of its healthy range.

    Args:
        checkpoint: Folder written by `networld train`, pretrained:NAME or hf://owner/name.
        task: The task, if the model has several; for your own task, its name or path/to/file.py.
        dataset: Minari dataset to measure on. By default, the episodes that `networld train` held
            out of the model's training data.
        episodes: Maximum number of episodes to measure on, at most 16.
        algorithm: File of the model's algorithm if it is your own: path/to/file.py:ClassName.
        as_json: Print JSON instead of a table.
    """
    from networld_algos.data.episodes import HEALTH_EPISODES
    from networld_algos.data.identity import recorded_hashes, refuse_other_data
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
        found = recorded_hashes([about["dataset"]])
        remedy = f"the held-out episodes are unknown: give --dataset {about['dataset']}"
        refuse_other_data(about.get("data_hashes", {}), found, checkpoint, remedy)
        data = load_episodes(about["dataset"], task)
        _, data = data.training_parts(about["episodes"], about["seed"])
        if data is None:
            raise ValueError(
                f"{checkpoint} was trained on a single episode, so nothing was held out; name a "
                f"dataset, e.g. --dataset {about['dataset']}"
            )
        what = f"held-out episodes of {about['dataset']}"
    else:
        data, what = load_episodes(dataset, task), f"episodes of {dataset}"
    data = data.first(episodes)
    diagnostics = model.health(data)
    if not diagnostics and not as_json:
        console.print(f"{model.name} has no diagnostics")
        return 0
    rows = [
        {
            "diagnostic": name,
            "value": found.value,
            "is_healthy": found.is_healthy,
            "healthy_range": found.healthy_range,
            "meaning": found.meaning,
        }
        for name, found in diagnostics.items()
    ]
    title = f"health of {checkpoint} on {len(data)} {what}"
    about = {"checkpoint": checkpoint, "algorithm": model.name, "task": task}
    table = Listing("diagnostics", DIAGNOSED, rows, title)
    show(table, as_json=as_json, **about, episodes=len(data), data=what)
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
