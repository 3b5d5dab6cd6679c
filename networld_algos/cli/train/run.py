"""``networld train``: train an algorithm on a dataset."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from networld_algos.cli.terminal import (
    command_text,
    console,
    task_name,
    training_bar,
)
from networld_algos.cli.train.options import TrainOptions
from networld_algos.cli.train.resuming import obtain_dataset, read_data, resume_model

if TYPE_CHECKING:
    from networld_algos.base import Algorithm, Diagnostic
    from networld_algos.data.episodes import Episodes
    from networld_algos.training.near import HeldOut, Keeper
    from networld_algos.training.run import Progress

LOGS = "logs"  # folder of the loggers' files beside the checkpoint
SAVE_EVERY = 200  # updates between checkpoints of `networld train`


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
    if not options.online and (extra := _online_settings(options)):
        words = ", ".join(f"--{name.replace('_', '-')}" for name in extra)
        raise ValueError(f"{words}: only for --online; give --online as well")
    if options.patience < 0:
        raise ValueError(f"--patience must be at least 0, got {options.patience}")
    if options.patience and (options.online or distributed.processes() > 1):
        raise ValueError("--patience goes neither with --online nor with torchrun")
    if options.online and (device != "cpu" or distributed.processes() > 1):
        raise ValueError("--online runs in one process on the CPU: use --device cpu, no torchrun")
    if options.online and options.log:
        raise ValueError("--log does not go with --online, which has no single training to log")
    if options.updates < 1:
        raise ValueError(f"--updates must be at least 1, got {options.updates}")
    if options.seed < 0:
        raise ValueError(f"--seed must be at least 0, got {options.seed}")
    for name, value in (("anchor", options.anchor), ("weight-decay", options.weight_decay)):
        if not (math.isfinite(value) and value >= 0.0):
            raise ValueError(f"--{name} must be finite and at least 0, got {value:g}")
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
    from networld_algos.results.loggers import Log
    from networld_algos.training import distributed
    from networld_algos.training.run import Training, run_training
    from networld_algos.training.stopping import signals_stop

    log = Log(options.log if distributed.is_chief() else (), options.out / LOGS)
    dataset = options.dataset or f"networld/{options.task}/expert-v0"
    obtain_dataset(dataset)
    data, heldout, about = read_data(options, dataset)
    if options.online:
        return _online(options, data, about)
    model, progress = resume_model(options, data, about)
    validation = _validation(options, type(model), heldout)
    keeper = _keeper(options, model, data, heldout)
    begun, was_over = progress.updates, progress.is_over(options.updates)
    with log:
        log.start(begun, options.updates, _named(options, about))

        def show(update: int, metrics: dict[str, float]) -> None:
            keeper.step()
            log.losses(update, metrics)
            if update % 20 == 0 or update == options.updates:
                losses = "  ".join(f"{k} {v:.3g}" for k, v in list(metrics.items())[:3])
                bar.update(line, completed=update, details=losses)

        training = Training(
            [keeper.data],
            options.updates,
            options.seed,
            save_every=SAVE_EVERY,
            validation=validation,
            patience=options.patience,
        )
        with training_bar() as bar:
            bar.console.print(f"{options.algorithm} on {dataset}")
            line = bar.add_task("", total=options.updates, completed=begun)
            with signals_stop() as stop:
                finished = run_training(
                    training, model, progress, options.out, show, should_stop=stop
                )
        if not finished:
            console.print(
                f"stopped by {stop.name}: saved update {progress.updates} of {options.updates} in "
                f"{options.out}; give the same command again to resume"
            )
            return stop.exit_status
        _take_best(model, progress, options)
        _keep(keeper, model, progress, options)
        if not distributed.is_chief():
            return 0
        if heldout is None:
            console.print("no diagnostics: nothing can be held out of a single episode")
        else:
            health = model.health(heldout)
            _print_health(health)
            if not was_over:  # otherwise an earlier process has logged it
                found = {f"health/{name}": number.value for name, number in health.items()}
                log.log(progress.updates, found)
    _describe(model, data, heldout, options.out)
    own = () if given == options.task else ("--task", given)
    then = command_text("networld", "evaluate", options.out, *own)
    console.print(f"saved {options.out}; next: {then}")
    return 0


def _named(options: TrainOptions[Any], about: dict[str, Any]) -> dict[str, Any]:
    """What loggers are told about a training."""
    name = f"{options.algorithm} {options.task} {options.out.name}"
    return {"name": name, "algorithm": options.algorithm, **about, **asdict(options.config)}


def _online(options: TrainOptions[Any], data: Episodes, about: dict[str, Any]) -> int:
    """Collect episodes and train on them; it is not resumed."""
    from networld_algos.training.online import OnlineConfig, train_online
    from networld_algos.training.start import find_model

    if options.init is None:
        raise ValueError("--online needs a model that acts: give it with --init")
    found = find_model(options.init, options.algorithm)
    settings = _online_settings(options)
    config = OnlineConfig(episodes=options.online, updates=options.updates, **settings)
    where = {"seed": options.seed, "about": about, "preset": options.deployment or "default"}
    train_online(found, data, config, options.out, options.config, say=console.print, **where)
    console.print(f"saved {options.out}")
    return 0


def _online_settings(options: TrainOptions[Any]) -> dict[str, Any]:
    """Fields of `OnlineConfig` that were given as options."""
    names = ("rounds", "exploration", "per_offline")
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _validation(
    options: TrainOptions[Any], kind: type[Algorithm], heldout: Episodes | None
) -> Episodes | HeldOut | None:
    """What ``--patience`` measures the loss on.

    An algorithm without a loss for it is judged by its decisions.

    Raises:
        ValueError: If nothing is held out.
    """
    from networld_algos.base import Algorithm
    from networld_algos.training.near import HeldOut

    if not options.patience:
        return None
    if heldout is None:
        raise ValueError("--patience holds episodes out, and there is only one; leave it out")
    if kind.validation_loss is not Algorithm.validation_loss:
        return heldout
    return HeldOut(heldout, np.arange(heldout.spec.num_agents))


def _take_best(model: Algorithm, progress: Progress, options: TrainOptions[Any]) -> None:
    """After the last update with ``--patience``, go back to the best weights, once."""
    from networld_algos.training import checkpoint
    from networld_algos.training.run import BEST, best_model

    if not options.patience:
        return
    best, found = best_model(model, options.out)
    if found is None:
        return
    model.load_state_dict(best.state_dict())
    progress.best = found
    checkpoint.save(model, options.out, progress.to_extra())
    shutil.rmtree(options.out / BEST)
    console.print(
        f"trained for {progress.updates} of {options.updates} updates; kept the weights after "
        f"{found.best_updates}, which have the smallest loss on held-out data"
    )


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


def _print_health(diagnostics: Mapping[str, Diagnostic]) -> None:
    """Print a model's diagnostics, if it has any, and warn about unhealthy ones."""
    if not diagnostics:
        return
    numbers = "  ".join(f"{name} {found.value:.3g}" for name, found in diagnostics.items())
    console.print(f"health on held-out episodes: {numbers}")
    for name, found in diagnostics.items():
        if not found.is_healthy:
            problem = f"{name} is {found.value:.3g}; healthy range: {found.healthy_range}"
            console.print(f"unhealthy: {problem}", style="yellow")
