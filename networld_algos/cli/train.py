"""``networld train``: train a model on a dataset."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from networld_algos.cli.terminal import console, progress_bar, shown_in

if TYPE_CHECKING:
    from networld_algos.base import Algorithm, Diagnostic
    from networld_algos.training.run import Progress

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

    from networld_algos.data.episodes import HOLDOUT
    from networld_algos.data.load import load_episodes
    from networld_algos.registry import make
    from networld_algos.training import distributed
    from networld_algos.training.cpu import configure_cpu
    from networld_algos.training.run import Training, resume, run_training
    from networld_envs.simulator import task_module

    configure_cpu(device)
    task_module(task)
    if updates < 1:
        raise ValueError(f"--updates must be at least 1, got {updates}")
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise ValueError(f"--device must be cpu, or cuda where there is one, got {device!r}")
    if hasattr(config, "batch_size"):
        distributed.check_batch_size(config.batch_size, distributed.processes())
    distributed.start(device)
    console.quiet = not distributed.is_chief()
    dataset = dataset or f"networld/{task}/expert-v0"
    _obtain(dataset)
    data = load_episodes(dataset, task)
    if episodes is not None:
        if not 1 <= episodes <= len(data):
            raise ValueError(f"--episodes must be in 1 .. {len(data)}, got {episodes}")
        data = data.fraction(episodes / len(data), seed)
    about = {"dataset": dataset, "episodes": len(data), "seed": seed, "total_updates": updates}
    data, heldout = data.split(HOLDOUT, seed)

    def start() -> Algorithm:
        model = make(algorithm, [data.spec], config, seed=seed)
        model.prepare(data, updates)
        return model

    model, progress = resume(out, start, task=task, device=device)
    if progress.updates:
        _check_same(out, progress, about)
        if model.name != algorithm or model.config != config:
            raise ValueError(f"{out} holds {model.name} with {model.config}; choose another --out")
    progress.episodes = about.pop("episodes")
    progress.about |= {**about, "trained_on": len(data)}
    with progress_bar("updates") as bar:
        title = f"{algorithm} on {dataset}"
        line = bar.add_task(title, total=updates, completed=progress.updates)

        def show(update: int, metrics: dict[str, float]) -> None:
            if update % 20 == 0 or update == updates:
                losses = "  ".join(f"{k} {v:.3g}" for k, v in list(metrics.items())[:3])
                bar.update(line, completed=update, description=f"{algorithm}  {losses}")

        training = Training([data], updates, seed, save_every=SAVE_EVERY)
        run_training(training, model, progress, out, show)
    if distributed.is_chief():
        if heldout is None:
            console.print("health is not measured: nothing can be held out of a single episode")
        else:
            _print_health(model.health(heldout))
        console.print(f"saved {out}; next: networld evaluate {out}")
    distributed.wait()
    distributed.stop()
    return 0


def _obtain(dataset: str) -> None:
    """Download or build a dataset that is not there yet; the other processes wait."""
    from networld_algos.training import distributed
    from networld_envs import store

    if distributed.is_chief() and not store.is_local(dataset):
        with progress_bar("episodes") as bar:
            store.obtain(dataset, os.cpu_count() or 1, shown_in(bar, dataset), say=console.print)
    distributed.wait()


def _check_same(out: Path, progress: Progress, asked: dict[str, Any]) -> None:
    """Refuse to continue a training with other options than it was started with."""
    saved = progress.to_extra()
    for key, value in asked.items():
        if saved.get(key) != value:
            raise ValueError(
                f"{out} was started with {key}={saved.get(key)!r}, not {value!r}; "
                "choose another --out or the same options"
            )


def _print_health(diagnostics: Mapping[str, Diagnostic]) -> None:
    """Diagnostics of a model that has some, and those that are out of their healthy range."""
    if not diagnostics:
        return
    numbers = "  ".join(f"{name} {found.value:.3g}" for name, found in diagnostics.items())
    console.print(f"health on held-out episodes: {numbers}")
    for name, found in diagnostics.items():
        if not found.is_healthy:
            problem = f"{name} is {found.value:.3g}, healthy is {found.healthy_range}"
            console.print(f"[yellow]unhealthy:[/] {problem}")
