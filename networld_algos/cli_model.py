"""``networld train``, ``evaluate`` and ``health``: one model from data to scores."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.table import Table

from networld_algos.terminal import console, progress_bar, score_text, shown_in

Positional = tyro.conf.Positional
SAVE_EVERY = 200  # updates between checkpoints of `networld train`


def train_command(algorithm: str, config: Any) -> Callable[..., int]:
    """The ``train`` verb of one algorithm; the fields of ``config``, the preset, become options."""

    def command(
        task: str,
        out: Path,
        dataset: str | None = None,
        episodes: int | None = None,
        updates: int = 2_000,
        seed: int = 0,
        preset: str = "default",
        device: str = "cpu",
        *,
        config: Any,
    ) -> int:
        """Train on a dataset and save a checkpoint.

        Several processes train one model when torchrun starts them, e.g.
        torchrun --nproc-per-node 2 -m networld_algos train bc ...

        Args:
            task: cbf, rb or ns.
            out: Folder of the checkpoint; one that is there already is continued.
            dataset: Minari dataset id; the task's expert data by default.
            episodes: Use only so many episodes. A tenth of them is held out for diagnostics.
            updates: Gradient steps in total.
            seed: Of weights, batches and noise.
            preset: Named settings of the algorithm that its own options start from; NetWorld has
                "faithful" beside "default".
            device: cpu, or cuda: one device for each process.
            config: The algorithm's own options.
        """
        del preset  # `config` starts from it
        return _train(algorithm, task, out, dataset, episodes, updates, seed, device, config)

    command.__annotations__["config"] = type(config)
    command.__kwdefaults__ = {"config": config}
    return command


def _train(
    algorithm: str,
    task: str,
    out: Path,
    dataset: str | None,
    episodes: int | None,
    updates: int,
    seed: int,
    device: str,
    config: Any,
) -> int:
    import torch

    from networld_algos import make, parallel
    from networld_algos.bench import HOLDOUT
    from networld_algos.checkpoint import exists, load, save
    from networld_algos.cpu import configure_cpu
    from networld_algos.data import load_episodes
    from networld_algos.train import train
    from networld_envs import store
    from networld_envs.simulator import task_module

    configure_cpu(device)
    task_module(task)
    if updates < 1:
        raise ValueError(f"--updates must be at least 1, got {updates}")
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise ValueError(f"--device must be cpu, or cuda where there is one, got {device!r}")
    if hasattr(config, "batch_size"):
        parallel.check_batch_size(config.batch_size, parallel.processes())
    share = parallel.start(device)
    chief = share is None or share.rank == 0  # the process that writes and prints
    console.quiet = not chief
    dataset = dataset or f"networld/{task}/expert-v0"
    if chief and not store.is_local(dataset):
        with progress_bar("episodes") as bar:
            store.obtain(dataset, os.cpu_count() or 1, shown_in(bar, dataset), say=console.print)
    parallel.wait()
    data = load_episodes(dataset, task)
    if episodes is not None:
        if not 1 <= episodes <= len(data):
            raise ValueError(f"--episodes must be in 1 .. {len(data)}, got {episodes}")
        data = data.fraction(episodes / len(data), seed)
    about = {"dataset": dataset, "episodes": len(data), "seed": seed, "total_updates": updates}
    data, heldout = data.split(HOLDOUT, seed)
    done = 0
    if exists(out):
        model, saved = load(out, expect_task=task, device=device)
        for key, value in about.items():
            if saved.get(key) != value:
                raise ValueError(
                    f"{out} was started with {key}={saved.get(key)!r}, not {value!r}; "
                    "choose another --out or the same options"
                )
        if model.name != algorithm or model.config != config:
            raise ValueError(f"{out} holds {model.name} with {model.config}; choose another --out")
        done = saved["updates"]
    else:
        model = make(algorithm, [data.spec], config, seed=seed)
        model.prepare(data, updates)
    about["trained_on"] = len(data)
    model.to(device)
    with progress_bar("updates") as bar:
        job = bar.add_task(f"{algorithm} on {dataset}", total=updates, completed=done)

        def show(update: int, metrics: dict[str, float]) -> None:
            if update % 20 == 0 or update == updates:
                losses = "  ".join(f"{k} {v:.3g}" for k, v in list(metrics.items())[:3])
                bar.update(job, completed=update, description=f"{algorithm}  {losses}")
            if update % SAVE_EVERY == 0 and update < updates and chief:
                save(model, out, {**about, "updates": update})

        train(model, [data], updates, seed, first=done, on_update=show)
    if chief:
        save(model, out, {**about, "updates": updates})
        _print_health(model.health(heldout))
        console.print(f"saved {out}; next: networld evaluate {out}")
    parallel.wait()
    parallel.stop()
    return 0


def _print_health(values: dict[str, float]) -> None:
    """Diagnostics of a model that has some, and what is out of its healthy range."""
    if not values:
        return
    from networld_algos.networld_health import unhealthy

    numbers = "  ".join(f"{name} {value:.3g}" for name, value in values.items())
    console.print(f"health on held-out episodes: {numbers}")
    for problem in unhealthy(values):
        console.print(f"[yellow]unhealthy:[/] {problem}")


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
    """Let a trained model act and compare it with the reference policies.

    Args:
        checkpoint: Folder written by `networld train`, or hf://owner/name.
        task: Which of the model's tasks; not needed when it has one.
        episodes: Episodes, all simulated as one batch.
        seed: Environment seed of the first episode. Those from 1000 are the benchmark's test
            networks; while you choose settings use others, such as the validation networks from
            500000.
        preset: Named parameters of the task.
        record: Keep the score beside the checkpoint, for its card on the Hub.
        decisions: Another value of a setting that is read only when acting, e.g. decode=sample; may
            be given several times.
        algorithm: Where the model's algorithm is, path/to/file.py:Name, if it is your own.
    """
    from networld_algos.checkpoint import load
    from networld_algos.cpu import configure_cpu
    from networld_algos.hub import fetch, record_score
    from networld_algos.rollout import evaluate as run
    from networld_algos.stats import normalised_score, t_interval
    from networld_envs.policies import usable_policies
    from networld_envs.references import reference_rewards
    from networld_envs.simulator import MAX_CYCLES, make_params

    configure_cpu()
    add_algorithms(algorithm)
    if episodes < 2:
        raise ValueError(f"--episodes must be at least 2, got {episodes}")
    if record and decisions:
        raise ValueError("--record keeps the score of the model as it is saved: leave out --set")
    if record and checkpoint.startswith("hf://"):
        raise ValueError(
            "--record writes beside the checkpoint: give a folder of your own, not hf://"
        )
    folder = fetch(checkpoint)
    model, _ = load(folder, expect_task=task)
    model.reconfigure(**dict(_setting(text) for text in decisions))
    task = task or _only_task(model.specs)
    seeds = range(seed, seed + episodes)
    rewards = {}
    with progress_bar("policies") as bar:
        names = usable_policies(task, make_params(task, preset))
        job = bar.add_task(f"{model.name} on {task}, {episodes} episodes", total=1 + len(names))
        result = run(model, task, seeds, preset=preset)
        bar.advance(job)
        for name in names:
            rewards[name] = reference_rewards(task, name, seeds, MAX_CYCLES, preset=preset)
            bar.advance(job)
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
        score = "no scale here" if share is None else f"{share:.1f}"
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
        f"one decision of every agent in all {episodes} episodes: median "
        f"{result.latency_p50_ms:.1f} ms, 99% {result.latency_p99_ms:.1f} ms; "
        f"{result.bytes_per_step:.0f} bytes sent per agent and step"
    )
    return 0


def push(
    checkpoint: Positional[Path],
    repo: Positional[str],
    private: bool = False,
    algorithm: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
) -> int:
    """Upload a trained model to the Hugging Face Hub, with a card that says what it is.

    Args:
        checkpoint: Folder written by `networld train`.
        repo: owner/name; made if absent.
        private: Make a new repository private.
        algorithm: Where the model's algorithm is, path/to/file.py:Name, if it is your own.
    """
    from networld_algos.hub import push_to_hub

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
    """Is a NetWorld model's latent space fit for control? Numbers, ranges and what they mean.

    Args:
        checkpoint: Folder written by `networld train`, or hf://owner/name.
        task: Which of the model's tasks; not needed when it has one.
        dataset: Minari dataset to measure on. A model of `networld train` needs none: it knows its
            own, and the episodes that were held out are taken.
        episodes: Most episodes to measure on, 16 or fewer.
        algorithm: Where the model's algorithm is, path/to/file.py:Name, if it is your own.
    """
    import numpy as np

    from networld_algos.bench import HOLDOUT
    from networld_algos.checkpoint import load
    from networld_algos.cpu import configure_cpu
    from networld_algos.data import load_episodes
    from networld_algos.hub import fetch
    from networld_algos.networld_health import HEALTHY, MAX_EPISODES, MEANING, unhealthy

    configure_cpu()
    add_algorithms(algorithm)
    if not 1 <= episodes <= MAX_EPISODES:
        raise ValueError(f"--episodes must be in 1 .. {MAX_EPISODES}, got {episodes}")
    model, about = load(fetch(checkpoint), expect_task=task)
    task = task or _only_task(model.specs)
    if dataset is None:
        if not {"dataset", "episodes", "seed"} <= set(about):
            raise ValueError(
                f"{checkpoint} does not say what it was trained on; name data to measure on, e.g. "
                f"--dataset networld/{task}/expert-v0"
            )
        data = load_episodes(about["dataset"], task)
        data = data.fraction(about["episodes"] / len(data), about["seed"])
        data = data.split(HOLDOUT, about["seed"])[1]
        what = f"{about['dataset']}, held-out episodes"
    else:
        data, what = load_episodes(dataset, task), dataset
    data = data.take(np.arange(min(episodes, len(data))))
    values = model.health(data)
    if not values:
        console.print(f"{model.name} has no diagnostics")
        return 0
    table = Table(title=f"health of {checkpoint} on {len(data)} of {what}")
    for heading in ("diagnostic", "value", "healthy", "what it means"):
        table.add_column(heading)
    for name, value in values.items():
        text = f"[red]{value:.3g}[/]" if unhealthy({name: value}) else f"{value:.3g}"
        bounds = "{:g} to {:g}".format(*HEALTHY[name]) if name in HEALTHY else ""
        table.add_row(name, text, bounds, MEANING.get(name, ""))
    console.print(table)
    return 1 if unhealthy(values) else 0


def _setting(text: str) -> tuple[str, Any]:
    """Name and value of ``NAME=VALUE``; a value that is not JSON is a word."""
    name, given, value = text.partition("=")
    if not given or not name:
        raise ValueError(f"--set takes NAME=VALUE, e.g. deviation=0, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _only_task(specs: Mapping[str, Any]) -> str:
    if len(specs) > 1:
        raise ValueError(f"choose one of the model's tasks with --task: {sorted(specs)}")
    return next(iter(specs))


def add_algorithms(sources: Sequence[str]) -> list[str]:
    """Names of the algorithms of ``path/to/file.py:Name``, which are then in the table."""
    from networld_algos.plugin import add_algorithm

    return [add_algorithm(source) for source in sources]
