"""The data of ``networld train``, and the model to train or to resume."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from networld_algos.cli.terminal import console, progress_bar, shown_in
from networld_algos.cli.train.options import TrainOptions

if TYPE_CHECKING:
    from networld_algos.base import Algorithm
    from networld_algos.data.episodes import Episodes
    from networld_algos.training.run import Progress


def obtain_dataset(dataset: str) -> None:
    """Download or build a missing dataset in one process while the others wait."""
    from networld_algos.training import distributed
    from networld_envs import store

    if distributed.is_chief() and not store.is_local(dataset):
        with progress_bar("episodes") as bar:
            store.obtain(dataset, os.cpu_count() or 1, shown_in(bar, dataset), say=console.print)
    distributed.wait()


def read_data(
    options: TrainOptions[Any], dataset: str
) -> tuple[Episodes, Episodes | None, dict[str, Any]]:
    """Training and held-out episodes, and what the checkpoint records about the training."""
    from networld_algos.data.load import load_episodes
    from networld_algos.training.origin import data_origin
    from networld_envs import store

    found = store.load(dataset)
    data = load_episodes(found, options.task)
    episodes = len(data) if options.episodes is None else options.episodes
    if not 1 <= episodes <= len(data):
        raise ValueError(f"--episodes must be in 1 .. {len(data)}, got {episodes}")
    about = {
        "dataset": dataset,
        "episodes": episodes,
        "seed": options.seed,
        "task": options.task,
        "total_updates": options.updates,
        "anchor": options.anchor,
        "weight_decay": options.weight_decay,
        "patience": options.patience,
        "origin": data_origin(found),
        "data_hashes": {dataset: store.recorded_hash(found)},
    }
    if options.init is not None:
        from networld_algos.training.start import find_model

        about["init"] = find_model(options.init, options.algorithm).record()
    return *data.training_parts(episodes, options.seed), about


def resume_model(
    options: TrainOptions[Any], data: Episodes, about: dict[str, Any]
) -> tuple[Algorithm, Progress]:
    """The training in ``--out``, if there is one with the same options; otherwise a new model.

    Raises:
        ValueError: If ``--out`` holds a model that is not such a training.
    """
    from networld_algos.registry import make
    from networld_algos.training import checkpoint
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

    is_resumed = checkpoint.exists(out)
    if is_resumed:
        _refuse_other_kinds(out, checkpoint.read_extra(out))
    model, progress = resume(out, start, task=options.task, device=options.device)
    if is_resumed:
        saved = progress.to_extra()
        for key in ("dataset", "episodes", "seed", "anchor", "weight_decay", "patience"):
            if saved.get(key, about[key]) != about[key]:
                raise ValueError(
                    f"{out} was started with {key}={saved.get(key)!r}, not {about[key]!r}; "
                    "choose another --out, or use the same options"
                )
        _refuse_replaced_data(out, saved.get("data_hashes"), about["data_hashes"])
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
            if options.patience:
                raise ValueError(
                    f"{out} was started with --updates {total} and --patience {options.patience}, "
                    "and such a training is not extended; choose another --out"
                )
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


def _refuse_other_kinds(out: Path, saved: dict[str, Any]) -> None:
    """Refuse to resume, and so to overwrite, a model that no offline training left in ``out``."""
    if "online" in saved:
        kind = "was trained online, which is not resumed"
    elif not {"updates", "dataset", "seed"} <= set(saved):
        kind = "`networld train` did not write"
    else:
        return
    raise ValueError(
        f"{out} holds a model that {kind}; choose another --out, and start from this model with "
        f"--init {out}"
    )


def _refuse_replaced_data(out: Path, before: dict[str, str] | None, now: dict[str, str]) -> None:
    """Raise if the dataset was replaced since the training in ``out`` began."""
    from networld_algos.data.identity import refuse_other_data

    if before is None:
        console.print(
            f"note: {out} was saved by a version that did not record the content of the data, so "
            "it is not known whether the data is still the same",
            style="yellow",
        )
        return
    remedy = "choose another --out to train on it, or put the old data back"
    refuse_other_data(before, now, str(out), remedy)
