"""``networld train``: train an algorithm on a dataset."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, Union

import tyro

from networld_algos.cli.terminal import console, progress_bar, shown_in, task_name

if TYPE_CHECKING:
    from networld_algos.base import Algorithm, Diagnostic
    from networld_algos.data.episodes import Episodes
    from networld_algos.training.run import Progress

Config = TypeVar("Config")

TORCHRUN = (
    "To train one model in several processes, start them with torchrun, e.g. "
    "torchrun --nproc-per-node 2 -m networld_algos train bc ..."
)
SAVE_EVERY = 200  # updates between checkpoints of `networld train`


@dataclass(frozen=True)
class TrainOptions(Generic[Config]):
    """Options of ``networld train ALGORITHM``.

    Attributes:
        algorithm: Key in `networld_algos.ALGORITHMS`.
        task: cbf, rb, ns, or your own task: path/to/file.py.
        out: Folder for the checkpoint. If it already holds one, that training is resumed.
        dataset: Id of a Minari dataset. By default, the task's expert data.
        episodes: Use only this many episodes. A tenth of the episodes is held out for diagnostics.
        updates: Total number of gradient steps.
        seed: Seed of weights, batches and noise.
        preset: Named settings from which the algorithm's own options start. NetWorld also has
            "faithful".
        device: cpu, or cuda for one device per process.
        config: The algorithm's own options.
    """

    algorithm: tyro.conf.Suppress[str]
    task: str
    out: Path
    dataset: str | None = None
    episodes: int | None = None
    updates: int = 2_000
    seed: int = 0
    preset: str = "default"
    device: str = "cpu"
    config: Config = tyro.MISSING


def parse(args: Sequence[str]) -> TrainOptions[Any]:
    """Parse the options of ``networld train ALGORITHM ...``; each algorithm is a subcommand.

    Raises:
        ValueError: If the algorithm's file or the preset is invalid; lists the valid presets.
        SystemExit: After printing the help, or for an error in the options.
    """
    from networld_algos.plugin import add_algorithm, importable, is_plugin
    from networld_algos.registry import ALGORITHMS, make_config

    # A preset sets the defaults of the other options, so it is parsed before them.
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", nargs="?", default="default", const="")
    known, rest = first.parse_known_args(args)
    word = rest[0] if rest else ""
    typed = {name: name for name in ALGORITHMS}  # name -> as typed, for help and errors
    if is_plugin(word):
        typed[add_algorithm(word)] = word
    kinds = []
    for name, shown in typed.items():
        preset = known.preset if shown == word else "default"
        config, kind = make_config(name, preset), ALGORITHMS[name][1]
        options = TrainOptions(name, tyro.MISSING, tyro.MISSING, preset=preset, config=config)
        about = f"{_title(kind)}\n\n{TORCHRUN}" if shown == word else _title(kind)
        subcommand = tyro.conf.subcommand(
            shown, default=options, description=about, prefix_name=False
        )
        kinds.append(Annotated[TrainOptions[type(config)], subcommand])
    one_of: Any = Union[tuple(kinds)]  # noqa: UP007
    with importable():  # the help of options is in the source of their dataclass
        return tyro.cli(one_of, prog="networld train", args=rest)


def _title(kind: type[Algorithm]) -> str:
    """One line on what an algorithm is: the start of its docstring."""
    text = " ".join((kind.__doc__ or f"{kind.__name__}.").split("\n\n")[0].split())
    return f"{text.split(', see ')[0].rstrip('.')}."


def train(options: TrainOptions[Any]) -> int:
    """Train, or resume a training; returns the exit status.

    Raises:
        ValueError: If an option is invalid, or differs from that of the training to resume.
    """
    import torch

    from networld_algos.training import distributed
    from networld_algos.training.cpu import configure_cpu
    from networld_algos.training.run import Training, run_training

    configure_cpu(options.device)
    given = options.task
    options = replace(options, task=task_name(given))
    if options.updates < 1:
        raise ValueError(f"--updates must be at least 1, got {options.updates}")
    device, cuda = options.device, torch.cuda.is_available()
    if device not in ("cpu", "cuda") or (device == "cuda" and not cuda):
        raise ValueError(
            f"--device must be cpu, or cuda if one is available; got {options.device!r}"
        )
    if hasattr(options.config, "batch_size"):
        distributed.check_batch_size(options.config.batch_size, distributed.processes())
    distributed.start(device)
    console.quiet = not distributed.is_chief()
    dataset = options.dataset or f"networld/{options.task}/expert-v0"
    _obtain(dataset)
    data, heldout, about = _read(options, dataset)
    model, progress = _resume(options, data, about)
    with progress_bar("updates") as bar:
        title = f"{options.algorithm} on {dataset}"
        line = bar.add_task(title, total=options.updates, completed=progress.updates)

        def show(update: int, metrics: dict[str, float]) -> None:
            if update % 20 == 0 or update == options.updates:
                losses = "  ".join(f"{k} {v:.3g}" for k, v in list(metrics.items())[:3])
                title = f"{options.algorithm}  {losses}"
                bar.update(line, completed=update, description=title)

        training = Training([data], options.updates, options.seed, save_every=SAVE_EVERY)
        run_training(training, model, progress, options.out, show)
    if distributed.is_chief():
        if heldout is None:
            console.print("no diagnostics: nothing can be held out of a single episode")
        else:
            _print_health(model.health(heldout))
        own = "" if given == options.task else f" --task {given}"
        console.print(f"saved {options.out}; next: networld evaluate {options.out}{own}")
    distributed.wait()
    distributed.stop()
    return 0


def _obtain(dataset: str) -> None:
    """Download or build a missing dataset in one process while the others wait."""
    from networld_algos.training import distributed
    from networld_envs import store

    if distributed.is_chief() and not store.is_local(dataset):
        with progress_bar("episodes") as bar:
            store.obtain(dataset, os.cpu_count() or 1, shown_in(bar, dataset), say=console.print)
    distributed.wait()


def _read(
    options: TrainOptions[Any], dataset: str
) -> tuple[Episodes, Episodes | None, dict[str, Any]]:
    """Training and held-out episodes, and what the checkpoint records about the training."""
    from networld_algos.data.episodes import HOLDOUT
    from networld_algos.data.load import load_episodes

    data = load_episodes(dataset, options.task)
    if options.episodes is not None:
        if not 1 <= options.episodes <= len(data):
            raise ValueError(f"--episodes must be in 1 .. {len(data)}, got {options.episodes}")
        data = data.fraction(options.episodes / len(data), options.seed)
    about = {
        "dataset": dataset,
        "episodes": len(data),
        "seed": options.seed,
        "total_updates": options.updates,
    }
    return *data.split(HOLDOUT, options.seed), about


def _resume(
    options: TrainOptions[Any], data: Episodes, about: dict[str, Any]
) -> tuple[Algorithm, Progress]:
    """The model in ``--out``, if there is one with the same options; otherwise a new model."""
    from networld_algos.registry import make
    from networld_algos.training.run import resume

    out, config = options.out, options.config

    def start() -> Algorithm:
        model = make(options.algorithm, [data.spec], config, seed=options.seed)
        model.prepare(data, options.updates)
        return model

    model, progress = resume(out, start, task=options.task, device=options.device)
    if progress.updates:
        saved = progress.to_extra()
        for key, value in about.items():
            if saved.get(key) != value:
                raise ValueError(
                    f"{out} was started with {key}={saved.get(key)!r}, not {value!r}; "
                    "choose another --out, or use the same options"
                )
        if model.name != options.algorithm or model.config != config:
            raise ValueError(f"{out} holds {model.name} with {model.config}; choose another --out")
    progress.episodes = about["episodes"]
    progress.about |= {k: v for k, v in about.items() if k != "episodes"}
    progress.about["trained_on"] = len(data)
    return model, progress


def _print_health(diagnostics: Mapping[str, Diagnostic]) -> None:
    """Print a model's diagnostics, if it has any, and warn about unhealthy ones."""
    if not diagnostics:
        return
    numbers = "  ".join(f"{name} {found.value:.3g}" for name, found in diagnostics.items())
    console.print(f"health on held-out episodes: {numbers}")
    for name, found in diagnostics.items():
        if not found.is_healthy:
            problem = f"{name} is {found.value:.3g}; healthy range: {found.healthy_range}"
            console.print(f"[yellow]unhealthy:[/] {problem}")
