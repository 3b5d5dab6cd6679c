"""``networld train``: train an algorithm on a dataset."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import tyro

from networld_algos.cli.terminal import (
    command_text,
    console,
    obtain_dataset,
    print_health,
    refuse_replaced_data,
    task_name,
    training_bar,
)
from networld_algos.results.text import suggestion

if TYPE_CHECKING:
    from networld_algos.base import Algorithm
    from networld_algos.data.episodes import Episodes
    from networld_algos.training.near import Keeper
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
        out: Folder for the checkpoint. If it already holds one, that training is resumed; with a
            higher --updates than it has finished, it goes on and its learning rate starts again.
        dataset: Id of a Minari dataset. By default, the task's expert data.
        episodes: Use only this many episodes. A tenth of the episodes is held out for diagnostics.
        updates: Total number of gradient steps.
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
        online: Collect this many episodes with the model in --init, and train on them and on the
            dataset in turns, see `networld_algos.training.online`.
        deployment: Preset of the network in which --online collects them.
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
    settings: Path | None = None
    device: str = "cpu"
    init: str | None = None
    anchor: float = 300.0
    weight_decay: float = 0.0
    online: int = 0
    deployment: str | None = None
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
    known, rest = first.parse_known_args(args)
    word, options = (rest[0], rest[1:]) if rest else ("", [])
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


def train(options: TrainOptions[Any]) -> int:
    """Train, or resume a training; returns the exit status.

    Raises:
        ValueError: If an option is invalid, or differs from that of the training to resume.
        OSError: If ``--out`` cannot be written, or another process trains into it.
    """
    from networld_algos.training import distributed
    from networld_algos.training.cpu import configure_cpu
    from networld_algos.training.device import resolve_device
    from networld_algos.training.writer import sole_writer

    device = resolve_device(options.device)
    configure_cpu(device)
    given = options.task
    options = replace(options, task=task_name(given), device=device)
    if options.deployment is not None and not options.online:
        raise ValueError("--deployment is where --online collects episodes; give --online as well")
    if options.online and (device != "cpu" or distributed.processes() > 1):
        raise ValueError("--online runs in one process on the CPU: use --device cpu, no torchrun")
    if options.updates < 1:
        raise ValueError(f"--updates must be at least 1, got {options.updates}")
    if hasattr(options.config, "batch_size"):
        distributed.check_batch_size(options.config.batch_size, distributed.processes())
    distributed.start(device)
    console.quiet = not distributed.is_chief()
    with sole_writer(options.out) if distributed.is_chief() else nullcontext():
        status = _train(options, given)
        distributed.wait()
    distributed.stop()
    return status


def _train(options: TrainOptions[Any], given: str) -> int:
    """Train in a folder that no other process writes to; ``given`` is the task as typed."""
    from networld_algos.training import distributed
    from networld_algos.training.run import Training, run_training
    from networld_algos.training.stopping import signals_stop

    dataset = options.dataset or f"networld/{options.task}/expert-v0"
    obtain_dataset(dataset)
    data, heldout, about = _read(options, dataset)
    if options.online:
        return _online(options, data, about)
    model, progress = _resume(options, data, about)
    keeper = _keeper(options, model, data, heldout)
    with training_bar() as bar:
        bar.console.print(f"{options.algorithm} on {dataset}")
        line = bar.add_task("", total=options.updates, completed=progress.updates)

        def show(update: int, metrics: dict[str, float]) -> None:
            keeper.step()
            if update % 20 == 0 or update == options.updates:
                losses = "  ".join(f"{k} {v:.3g}" for k, v in list(metrics.items())[:3])
                bar.update(line, completed=update, details=losses)

        training = Training([keeper.data], options.updates, options.seed, save_every=SAVE_EVERY)
        with signals_stop() as stop:
            finished = run_training(training, model, progress, options.out, show, should_stop=stop)
    if not finished:
        console.print(
            f"stopped by {stop.name}: saved update {progress.updates} of {options.updates} in "
            f"{options.out}; give the same command again to go on"
        )
        return stop.exit_status
    _keep(keeper, model, progress, options)
    if distributed.is_chief():
        if heldout is None:
            console.print("no diagnostics: nothing can be held out of a single episode")
        else:
            print_health(model.health(heldout))
        _describe(model, data, heldout, options.out)
        own = () if given == options.task else ("--task", given)
        then = command_text("networld", "evaluate", options.out, *own)
        console.print(f"saved {options.out}; next: {then}")
    return 0


def _online(options: TrainOptions[Any], data: Episodes, about: dict[str, Any]) -> int:
    """Collect episodes and train on them; it is not resumed."""
    from networld_algos.training.online import OnlineConfig, train_online
    from networld_algos.training.start import find_model

    if options.init is None:
        raise ValueError("--online needs a model that acts: give it with --init")
    found = find_model(options.init, options.algorithm)
    config = OnlineConfig(episodes=options.online, updates=options.updates)
    where = {"seed": options.seed, "about": about, "preset": options.deployment or "default"}
    train_online(found, data, config, options.out, options.config, say=console.print, **where)
    console.print(f"saved {options.out}")
    return 0


def _keeper(
    options: TrainOptions[Any], model: Algorithm, data: Episodes, heldout: Episodes | None
) -> Keeper:
    from networld_algos.training.start import find_model, keeper

    found = None if options.init is None else find_model(options.init, options.algorithm)
    how = {"strength": options.anchor, "weight_decay": options.weight_decay}
    return keeper(found, model, data, heldout, options.updates, seed=options.seed, **how)


def _keep(keeper: Keeper, model: Algorithm, progress: Progress, options: TrainOptions[Any]) -> None:
    """After the last update, keep as much of the change as held-out data supports, once."""
    from networld_algos.training import checkpoint, distributed

    if progress.about.get("kept", {}).get("updates") == options.updates:
        return
    if (share := keeper.finish()) is None:
        return
    progress.about["kept"] = {"updates": options.updates, "share": share}
    console.print(f"kept {share:.0%} of the change from {options.init}, by held-out decisions")
    if distributed.is_chief():
        checkpoint.save(model, options.out, progress.to_extra())


def _describe(model: Algorithm, data: Episodes, heldout: Episodes | None, out: Path) -> None:
    """Keep a description of the training data beside the model, for `networld drift`."""
    from networld_algos.deploy.monitor.ensemble import disagreements
    from networld_algos.deploy.monitor.reference import Reference
    from networld_algos.training import checkpoint

    differ = disagreements(model, data if heldout is None else heldout)
    about = {"weights": checkpoint.weights_file(out), "episodes": len(data)}
    Reference.of_episodes(data, differ, about).save(out)


def _read(
    options: TrainOptions[Any], dataset: str
) -> tuple[Episodes, Episodes | None, dict[str, Any]]:
    """Training and held-out episodes, and what the checkpoint records about the training."""
    from networld_algos.data.episodes import HOLDOUT
    from networld_algos.data.load import load_episodes
    from networld_algos.training.origin import data_origin
    from networld_envs import store

    found = store.load(dataset)
    data = load_episodes(found, options.task)
    if options.episodes is not None:
        if not 1 <= options.episodes <= len(data):
            raise ValueError(f"--episodes must be in 1 .. {len(data)}, got {options.episodes}")
        data = data.fraction(options.episodes / len(data), options.seed)
    about = {
        "dataset": dataset,
        "episodes": len(data),
        "seed": options.seed,
        "task": options.task,
        "total_updates": options.updates,
        "anchor": options.anchor,
        "weight_decay": options.weight_decay,
        "origin": data_origin(found),
        "data_hashes": {dataset: store.recorded_hash(found)},
    }
    if options.init is not None:
        from networld_algos.training.start import find_model

        about["init"] = find_model(options.init, options.algorithm).record()
    return *data.split(HOLDOUT, options.seed), about


def _resume(
    options: TrainOptions[Any], data: Episodes, about: dict[str, Any]
) -> tuple[Algorithm, Progress]:
    """The model in ``--out``, if there is one with the same options; otherwise a new model."""
    from networld_algos.registry import make
    from networld_algos.training.run import extend, resume
    from networld_algos.training.start import find_model, start_from

    out, config = options.out, options.config

    def start() -> Algorithm:
        if options.init is not None:
            found = find_model(options.init, options.algorithm)
            updates, seed, say = options.updates, options.seed, console.print
            return start_from(found, data, updates, config=config, seed=seed, say=say)
        model = make(options.algorithm, [data.spec], config, seed=options.seed)
        model.prepare(data, options.updates)
        return model

    model, progress = resume(out, start, task=options.task, device=options.device)
    if progress.updates:
        saved = progress.to_extra()
        for key in ("dataset", "episodes", "seed", "anchor", "weight_decay"):
            if saved.get(key, about[key]) != about[key]:
                raise ValueError(
                    f"{out} was started with {key}={saved.get(key)!r}, not {about[key]!r}; "
                    "choose another --out, or use the same options"
                )
        refuse_replaced_data(out, saved.get("data_hashes"), about["data_hashes"])
        before, now = saved.get("init") or {}, about.get("init") or {}
        if before.get("weights") != now.get("weights"):
            raise ValueError(
                f"{out} was started from {before.get('source', 'no other model')} "
                f"({before.get('weights', 'new weights')}), not from "
                f"{now.get('source', 'no other model')} ({now.get('weights', 'new weights')}); "
                "choose another --out, or give the same --init"
            )
        if model.name != options.algorithm or model.config != config:
            raise ValueError(f"{out} holds {model.name} with {model.config}; choose another --out")
        total = saved.get("total_updates", progress.updates)
        if options.updates != total:
            if progress.updates < total or options.updates < total:
                raise ValueError(
                    f"{out} was started with --updates {total} and has done {progress.updates}, so "
                    f"it cannot end after {options.updates}; choose another --out, or "
                    + (
                        f"finish it with --updates {total} first, and then extend it"
                        if progress.updates < total
                        else "a higher --updates, which extends it"
                    )
                )
            extend(model, progress, options.updates)
            console.print(
                f"going on from {total} to {options.updates} updates; the learning rate starts "
                "again and decays over the further ones"
            )
    progress.episodes = about["episodes"]
    progress.about |= {k: v for k, v in about.items() if k != "episodes"}
    progress.about["trained_on"] = len(data)
    return model, progress
