"""A dataset as the replay buffer of another library, in memory, without a copy on disk."""

from __future__ import annotations

from typing import Any

import minari
import numpy as np

from networld_envs.simulator import TASKS
from networld_envs.store.exporting.arrays import Arrays, Per, opened, to_arrays
from networld_envs.store.exporting.extras import optional
from networld_envs.store.recipes import Progress


def to_d3rlpy(dataset: str | minari.MinariDataset, progress: Progress | None = None) -> Any:
    """Make a d3rlpy ``MDPDataset``: every agent of every episode is an episode.

    d3rlpy's number of actions is the task's, even if the data does not contain all of them.

    Args:
        dataset: As for `to_arrays`.
        progress: Called with (episodes read, episodes).

    Returns:
        ``d3rlpy.dataset.MDPDataset``.

    Raises:
        ImportError: If d3rlpy is not installed.
        networld_envs.store.DatasetError: As `to_arrays` raises it.
    """
    d3rlpy = optional("d3rlpy", "to_d3rlpy", "interop")
    source, spec = opened(dataset)
    arrays = to_arrays(source, "agent", progress)
    return d3rlpy.dataset.MDPDataset(
        observations=arrays["observations"],
        actions=arrays["actions"],
        rewards=arrays["rewards"],
        terminals=arrays["terminals"].astype(np.float32),
        timeouts=arrays["timeouts"].astype(np.float32),
        action_size=spec.action_dim if spec.action_kind == "box" else spec.num_choices,
    )


def to_torchrl(
    dataset: str | minari.MinariDataset,
    per: Per = "agent",
    batch_size: int | None = 256,
    progress: Progress | None = None,
) -> Any:
    """Make a TorchRL replay buffer of single steps.

    With ``per="agent"``, its keys are those that TorchRL's ``MinariExperienceReplay`` has. With
    ``per="team"``, they are those of TorchRL's ``PettingZooWrapper``: observations, actions and
    rewards are in the group of the task's agents (``"bs"`` or ``"node"``), and the graph of each
    step is ``(group, "neighbours")``, padded with -1.

    Args:
        dataset: As for `to_arrays`.
        per: ``"agent"`` or ``"team"``, see `to_arrays`.
        batch_size: Steps that ``sample()`` returns; None if it is given to each call.
        progress: Called with (episodes read, episodes).

    Returns:
        ``torchrl.data.TensorDictReplayBuffer``.

    Raises:
        ImportError: If TorchRL is not installed.
        networld_envs.store.DatasetError: As `to_arrays` raises it.
        ValueError: If ``per`` is unknown.
    """
    data = optional("torchrl.data", "to_torchrl", "interop")
    tensordict = optional("tensordict", "to_torchrl", "interop")
    torch = optional("torch", "to_torchrl", "interop")
    source, spec = opened(dataset)
    arrays = to_arrays(source, per, progress)
    group = getattr(TASKS.get(spec.task), "AGENT", "agents")
    keys = _agent_keys(arrays) if per == "agent" else _team_keys(arrays, group)
    rows = len(arrays["terminals"])
    steps = tensordict.TensorDict({}, batch_size=[rows])
    if per == "team":
        for key in ((group,), ("next", group)):
            steps[key] = tensordict.TensorDict({}, batch_size=[rows, spec.num_agents])
    for key, values in keys.items():
        steps[key] = torch.from_numpy(values)
    buffer = data.TensorDictReplayBuffer(
        storage=data.LazyTensorStorage(rows), batch_size=batch_size
    )
    buffer.extend(steps)
    return buffer


def _agent_keys(arrays: Arrays) -> dict[tuple[str, ...], Any]:
    return {
        ("observation",): arrays["observations"],
        ("action",): arrays["actions"],
        ("episode",): arrays["episode"],
        ("agent",): arrays["agent"],
        ("next", "observation"): arrays["next_observations"],
        ("next", "reward"): arrays["rewards"][:, None],
        **_ends(arrays),
    }


def _team_keys(arrays: Arrays, group: str) -> dict[tuple[str, ...], Any]:
    return {
        (group, "observation"): arrays["observations"],
        (group, "action"): arrays["actions"],
        (group, "neighbours"): arrays["neighbours"][arrays["episode"]].astype(np.int64),
        ("episode",): arrays["episode"],
        ("next", group, "observation"): arrays["next_observations"],
        ("next", group, "reward"): arrays["rewards"][..., None],
        **_ends(arrays),
    }


def _ends(arrays: Arrays) -> dict[tuple[str, ...], Any]:
    ends = {"terminated": arrays["terminals"], "truncated": arrays["timeouts"]}
    ends["done"] = ends["terminated"] | ends["truncated"]
    return {("next", name): flags[:, None] for name, flags in ends.items()}
