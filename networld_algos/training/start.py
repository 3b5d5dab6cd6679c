"""Start a training from a trained model: the same task, another deployment of it, or another task.

A model starts from the weights, statistics and averages of the other, with new optimisers, and its
schedules begin anew. On a task that it knows, it keeps its statistics of observations, actions and
returns, so before the first update it acts exactly as the other did. Another task is added with
`Algorithm.adapt`, and the statistics of that task come from its data.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from networld_algos.base import Algorithm
from networld_algos.data.episodes import Episodes
from networld_algos.registry import make, make_config
from networld_algos.training import checkpoint
from networld_algos.training.hub import fetch


@dataclass(frozen=True)
class Trained:
    """A trained model that another training starts from.

    Attributes:
        source: The folder, or ``hf://owner/name``, as given.
        folder: Where its checkpoint is.
        algorithm: Name of its algorithm.
        config: Its settings.
    """

    source: str
    folder: Path
    algorithm: str
    config: Any

    def record(self) -> dict[str, Any]:
        """What a checkpoint says about it: source, name of the weights, and their training."""
        index = checkpoint.read_index(self.folder)
        about = {k: index["extra"][k] for k in ("dataset", "updates") if k in index["extra"]}
        return {"source": self.source, "weights": index["files"]["model"], **about}


def find_model(source: str | Path, algorithm: str) -> Trained:
    """The model to start from, without its weights.

    Args:
        source: Folder of a checkpoint, or ``hf://owner/name``, which is downloaded.
        algorithm: Name of the algorithm to train, which must be the model's.

    Raises:
        ValueError: If there is no usable checkpoint, or it is of another algorithm.
        OSError: If the Hub cannot be reached.
    """
    folder = fetch(source)
    index = checkpoint.read_index(folder)
    if index["algorithm"] != algorithm:
        raise ValueError(
            f"{source} holds a {index['algorithm']} model, and {algorithm} cannot start from it; "
            f"train {index['algorithm']}, or start from a {algorithm} model"
        )
    return Trained(str(source), folder, algorithm, make_config(algorithm, index["config"]))


def start_from(
    origin: Trained, episodes: Episodes, updates: int, *, config: Any = None, seed: int = 0
) -> Algorithm:
    """A new model with the weights of a trained one, prepared for its data.

    Args:
        origin: From `find_model`.
        episodes: Training data, of a task that the model knows or of a new one.
        updates: Updates of the training to come.
        config: Settings; those of the model by default. Only what keeps the sizes of all networks
            can differ from them, such as the learning rate.
        seed: Seed of the weights of a new task's own networks.

    Raises:
        ValueError: If the checkpoint is damaged, the sizes of the task or of the networks differ,
            or the algorithm cannot adapt to a new task.
    """
    trained, _ = checkpoint.load(origin.folder)
    config = trained.config if config is None else config
    given = episodes.spec
    known = trained.specs.get(given.task)
    if known is not None and (field := known.mismatch(given)):
        raise ValueError(
            f"{origin.source} was trained for task {given.task!r} with {field}="
            f"{getattr(known, field)!r}, but this data has {getattr(given, field)!r}; start from "
            "another model, or train a new one"
        )
    specs = [given if spec.task == given.task else spec for spec in trained.specs.values()]
    model = make(origin.algorithm, specs, config, seed)
    try:
        model.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        changed = [f.name for f in fields(config) if _differs(f.name, config, trained.config)]
        raise ValueError(
            f"the networks of {origin.source} have other sizes than these options ask for; "
            f"different: {', '.join(changed) or 'none'}. Leave out the options that shape networks"
        ) from error
    model.begin_stage(updates)
    if known is None:
        model.adapt(given)
        model.prepare(episodes, updates)
    else:
        model.start(episodes, updates)
    return model


def _differs(name: str, one: Any, other: Any) -> bool:
    return getattr(one, name) != getattr(other, name)
