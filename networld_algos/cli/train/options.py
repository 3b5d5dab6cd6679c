"""Options of ``networld train``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import tyro

from networld_algos.cli.terminal import console, task_name
from networld_algos.results.text import suggestion

if TYPE_CHECKING:
    from networld_algos.base import Algorithm

Config = TypeVar("Config")

UPDATES = 2_000
"""Gradient steps by default, except with ``--online``."""
TORCHRUN = (
    "To train one model in several processes, start them with torchrun, e.g. "
    "torchrun --nproc-per-node 2 -m networld_algos train bc ..."
)


@dataclass(frozen=True)
class TrainOptions(Generic[Config]):
    """Options of ``networld train ALGORITHM``.

    Attributes:
        algorithm: Key in `networld_algos.ALGORITHMS`.
        task: cbf, rb, ns, or your own task: path/to/file.py.
        out: Folder for the checkpoint. If it already holds one, that training is resumed; with a
            higher --updates than it has finished, it goes on and its learning rate starts again.
        dataset: Id of a Minari dataset. By default, the task's expert data.
        episodes: Use only this many episodes. A tenth of the episodes is held out for diagnostics.
        updates: Total number of gradient steps; by default 2,000, or with --online those of
            `networld_algos.training.online.OnlineConfig`.
        seed: Seed of weights, batches and noise.
        preset: Named settings from which the algorithm's own options start: default; of networld
            also diffusion and faithful, of ma-dt and ma-cql also paper.
        settings: File of settings, as `networld tune` writes it: those for this algorithm and data
            are where the algorithm's own options start from.
        device: cpu, cuda for one device per process, or auto: cuda if there is one.
        init: Model to start from: a folder, pretrained:NAME or hf://owner/name. Its settings are
            defaults of the algorithm's own options. A model that does not know the task is adapted.
        anchor: Strength, divided by the number of episodes, with which a model stays near the one
            in --init on a task that it knows. Afterwards, held-out data decides how much of the
            change to keep. 0 turns both off. Not used with --online.
        weight_decay: Weight decay, as in AdamW. Not used with --online.
        patience: End the training after this many validations in a row without a smaller loss on
            the episodes that are held out, but not before a quarter of the updates, and keep the
            weights with the smallest one. There are 20 validations in a whole training. 0 trains to
            the end.
        online: Collect this many episodes with the model in --init, and train on them and on the
            dataset in turns, see `networld_algos.training.online`.
        deployment: Preset of the network in which --online collects them.
        rounds: Rounds of collecting and training of --online; 4 by default.
        exploration: Noise on the actions of --online, as a share of their deviation in the dataset,
            or the probability of a random choice; 0.1 by default.
        per_offline: Weight of what --online collects: batches of it for each batch of the dataset;
            1 by default.
        log: Write the losses to OUT/logs: csv, tensorboard, wandb, or your own:
            path/to/file.py:ClassName. Repeat the option for several. Not used with --online.
        config: The algorithm's own options.
    """

    algorithm: tyro.conf.Suppress[str]
    task: str
    out: Path
    dataset: str | None = None
    episodes: int | None = None
    updates: int = UPDATES
    seed: int = 0
    preset: str = "default"
    settings: Path | None = None
    device: str = "cpu"
    init: str | None = None
    anchor: float = 300.0
    weight_decay: float = 0.0
    patience: int = 0
    online: int = 0
    deployment: str | None = None
    rounds: int | None = None
    exploration: float | None = None
    per_offline: int | None = None
    log: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    config: Config = tyro.MISSING


def parse(args: Sequence[str]) -> TrainOptions[Any]:
    """Parse the options of ``networld train ALGORITHM ...``.

    Raises:
        ValueError: If the algorithm or the preset is unknown, or the algorithm's file is invalid;
            lists the valid ones.
        SystemExit: After printing the help, or for an error in the options.
    """
    from networld_algos.plugin import add_algorithm, importable, is_plugin
    from networld_algos.registry import ALGORITHMS, make_config

    # A preset or a model sets the defaults of the other options, so they are parsed before them.
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", nargs="?", const="")
    first.add_argument("--init", nargs="?", const="")
    first.add_argument("--settings", nargs="?", const="")
    first.add_argument("--online", nargs="?", const="")
    known, rest = first.parse_known_args(args)
    word, options = (rest[0], rest[1:]) if rest else ("", [])
    if known.online is not None:
        options = [*options, "--online", *([known.online] if known.online else [])]
    if word in ("", "-h", "--help"):
        _print_algorithms()
        raise SystemExit(0 if word else 2)
    name = add_algorithm(word) if is_plugin(word) else word
    if name not in ALGORITHMS:
        raise ValueError(
            f"unknown algorithm {word!r}{suggestion(word, ALGORITHMS)}\n"
            f"algorithms: {', '.join(ALGORITHMS)}, or your own: path/to/file.py:ClassName"
        )
    preset, init, kind = known.preset, known.init, ALGORITHMS[name][1]
    if init is None:
        preset = "default" if preset is None else preset
        config = make_config(name, preset)
    else:
        config, preset = _config_of(init, name, preset), "default"
    settings = None if known.settings is None else Path(known.settings)
    if settings is not None:
        config = replace(config, **_settings_of(settings, name, options))
    how = {"preset": preset, "settings": settings, "init": init, "config": config}
    if known.online is not None:
        from networld_algos.training.online import OnlineConfig

        how["updates"] = OnlineConfig.updates
    default = TrainOptions(name, tyro.MISSING, tyro.MISSING, **how)
    with importable():  # the help of options is in the source of their dataclass
        return tyro.cli(
            TrainOptions[type(config)],
            default=default,
            prog=f"networld train {word}",
            description=f"{title(kind)}\n\n{TORCHRUN}",
            args=options,
        )


def _config_of(init: str, algorithm: str, preset: str | None) -> Any:
    """The settings of the model to start from."""
    from networld_algos.training.start import find_model

    if not init:
        raise ValueError("--init needs a folder, pretrained:NAME or hf://owner/name")
    if preset is not None:
        raise ValueError("--init and --preset exclude each other: settings come from the model")
    return find_model(init, algorithm).config


def _settings_of(path: Path, algorithm: str, options: Sequence[str]) -> dict[str, Any]:
    """Fields that a file of settings has for an algorithm on the data that the options name."""
    from networld_algos.training.tuning.choices import settings_for

    peek = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    peek.add_argument("--task", nargs="?")
    peek.add_argument("--dataset", nargs="?")
    given, _ = peek.parse_known_args(options)
    if given.task is None:
        return {}  # the option is missing, or only the help is asked for
    task = task_name(given.task)
    return settings_for(path, algorithm, task, given.dataset or f"networld/{task}/expert-v0")


def _print_algorithms() -> None:
    """Print what `networld train` trains, and how to go on."""
    from networld_algos.registry import ALGORITHMS

    console.print("usage: networld train ALGORITHM --task TASK --out FOLDER [options]\n")
    console.print("Train an algorithm on a dataset. The algorithms:\n")
    for name, (_, kind) in ALGORITHMS.items():
        console.print(f"  {name:10s} {title(kind)}")
    console.print("  FILE:CLASS your own algorithm: path/to/file.py:ClassName\n")
    console.print("All options of an algorithm: networld train ALGORITHM --help")


def title(kind: type[Algorithm]) -> str:
    """One line on what an algorithm is: the start of its docstring."""
    text = " ".join((kind.__doc__ or f"{kind.__name__}.").split("\n\n")[0].split())
    return f"{text.split(', see ')[0].rstrip('.')}."
