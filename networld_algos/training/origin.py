"""Where training data came from, so that a model is not scored in another network unnoticed.

A checkpoint records it as ``origin``::

    {"kind": "simulator", "preset": "default", "params": {}, "agents": 24}
    {"kind": "logs", "preset": "default", "agents": 10, "imported_from": "site.npz"}

Logs are imported for a preset, whose units and ranges they share, but no simulator made them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import minari

from networld_algos.base import Algorithm
from networld_envs import store
from networld_envs.simulator import make_params, task_module

NOT_PARAMS = {"task", "preset", "max_cycles", "render_mode"}  # arguments of an environment


def data_origin(dataset: minari.MinariDataset) -> dict[str, Any]:
    """What a checkpoint records about the source of its data; JSON types."""
    about = store.metadata(dataset)
    agents = int(about["spec"]["num_agents"])
    if "imported_from" in about:
        origin = {"kind": "logs", "preset": about.get("preset", "default"), "agents": agents}
        return {**origin, "imported_from": about["imported_from"]}
    given = {}
    if "recipe" not in about and dataset.env_spec is not None:  # from Minari's DataCollector
        given = dict(dataset.env_spec.kwargs)
    preset = about.get("recipe", {**given, **about}).get("preset", "default")
    params = {k: v for k, v in given.items() if k not in NOT_PARAMS}
    return {"kind": "simulator", "preset": preset, "params": params, "agents": agents}


@dataclass(frozen=True)
class Network:
    """A simulated network.

    Attributes:
        task: Name of the task.
        preset: Preset of the task's parameters.
        params: Parameters that differ from the preset.
    """

    task: str
    preset: str = "default"
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def agents(self) -> int:
        """Number of agents."""
        made = make_params(self.task, self.preset, **self.params)
        return int(task_module(self.task).spec(made).num_agents)

    def __str__(self) -> str:
        changed = ", ".join(f"{name}={value}" for name, value in self.params.items())
        return (
            f"{self.task}, preset {self.preset}{' with ' if changed else ''}{changed}, "
            f"{self.agents} agents"
        )


def network_for(task: str, about: Mapping[str, Any], preset: str | None = None) -> Network:
    """The network to score a model in.

    Args:
        task: Name of the task.
        about: The ``extra`` of the checkpoint.
        preset: Preset of the task's parameters. By default, the preset and the parameters of the
            training data, if the checkpoint records them.

    Raises:
        ValueError: If there is no such preset, or a recorded parameter is out of range.
        TypeError: If the task has no such parameter.
    """
    origin = about.get("origin", {})
    if preset is None and about.get("task", task) == task:
        found = Network(task, origin.get("preset", "default"), dict(origin.get("params", {})))
    else:
        found = Network(task, preset or "default")
    make_params(task, found.preset, **found.params)
    return found


def difference(network: Network, model: Algorithm, about: Mapping[str, Any]) -> str | None:
    """How a network differs from the one that the training data came from; None if it does not.

    Args:
        network: The network that a model is scored in.
        model: The model.
        about: The ``extra`` of its checkpoint. Older checkpoints record no origin; then only the
            numbers of agents are compared.
    """
    origin = about.get("origin", {}) if about.get("task", network.task) == network.task else {}
    trained = int(origin.get("agents", model.known(network.task).num_agents))
    score = f"this score is of a simulated network of {network.agents} agents"
    if origin.get("kind") == "logs":
        return (
            f"the model was trained on logs ({origin.get('imported_from', 'imported')}, {trained} "
            f"agents), not on data of this simulator; {score} and says little about the network "
            "that the logs came from"
        )
    if origin:
        recorded = Network(network.task, origin.get("preset", "default"), origin.get("params", {}))
        if (recorded.preset, dict(recorded.params)) != (network.preset, dict(network.params)):
            return f"the model was trained in another network ({recorded}); {score}"
    if trained != network.agents:
        return f"the model was trained on data of {trained} agents; {score}"
    return None
