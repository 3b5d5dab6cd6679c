"""Datasets for single-agent libraries: every agent of every episode becomes an episode.

Observations are ``(T+1, O)``, actions ``(T, A)`` or ``(T,)``, and rewards are the agent's own.
d3rlpy, TorchRL and others read such a dataset through their support of Minari. They do not see the
neighbours. The environment that the dataset names is `networld_envs.one_agent.OneAgentEnv`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import minari
import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari.dataset.minari_storage import MinariStorage
from numpy.typing import NDArray

from networld_envs.one_agent import OneAgentEnv
from networld_envs.simulator import MAX_CYCLES
from networld_envs.store.exporting.hdf5 import write_episodes
from networld_envs.store.ids import DATA
from networld_envs.store.minari_io import metadata, open_local
from networld_envs.store.publishing import DATASET, new_dataset
from networld_envs.store.reading.checked import checked_episodes
from networld_envs.store.recipes import Progress


def flatten_agents(
    dataset: minari.MinariDataset,
    new_id: str,
    force: bool = False,
    progress: Progress | None = None,
) -> minari.MinariDataset:
    """Make a Minari dataset with one episode per agent and episode, from agent 0 of episode 0 on.

    Args:
        dataset: Dataset to read, whole or filtered.
        new_id: Id of the new dataset.
        force: Replace an existing dataset of that id.
        progress: Called with (episodes of ``dataset`` done, episodes).

    Raises:
        networld_envs.store.DatasetError: If the new id cannot be used, a dataset of that id exists,
            or the source is damaged or has illegal values.
    """
    about = metadata(dataset)
    # Logs with another number of agents name no environment; the preset's is used instead.
    given = {} if dataset.env_spec is None else dataset.env_spec.kwargs
    options = {
        "task": about["task"],
        "preset": about.get("preset", "default"),
        "max_cycles": MAX_CYCLES,
        **{key: value for key, value in given.items() if key != "render_mode"},
    }
    env = OneAgentEnv(**options)
    storage = dataset.storage.metadata

    def each_agent() -> Iterator[dict[str, NDArray[Any]]]:
        for k, episode in enumerate(checked_episodes(dataset)):
            if progress is not None:
                progress(k, dataset.total_episodes)
            rewards = episode["agent_rewards"].astype(np.float64)
            ends = {name: episode[name] for name in ("terminations", "truncations")}
            for i in range(rewards.shape[1]):
                yield {
                    "observations": episode["observations"][:, i],
                    "actions": episode["actions"][:, i],
                    "rewards": rewards[:, i],
                    **ends,
                }
        if progress is not None:
            progress(dataset.total_episodes, dataset.total_episodes)

    with new_dataset(new_id, "flat", force=force, verb="make") as folder:
        (folder / DATASET).mkdir()
        new = MinariStorage.new(
            folder / DATASET / DATA,
            observation_space=env.observation_space,
            action_space=env.action_space,
            env_spec=EnvSpec(
                id=f"networld/{about['task'].upper()}-one-agent-v0",
                entry_point="networld_envs.one_agent:OneAgentEnv",
                max_episode_steps=options["max_cycles"],
                kwargs=options,
            ),
            data_format="hdf5",
        )
        new.update_metadata(
            {
                "dataset_id": new_id,
                "minari_version": minari.__version__,
                "algorithm_name": storage.get("algorithm_name", ""),
                "author": set(storage.get("author", ())),
                "description": f"{dataset.id} with each agent as an episode of its own.",
                "requirements": storage.get("requirements", []),
            }
        )
        write_episodes(new, each_agent())
    return open_local(new_id)
