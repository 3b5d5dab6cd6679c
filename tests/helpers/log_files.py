"""Logs of small networks whose arrays fit together, and files of them."""

import h5py
import numpy as np

import networld_envs
from networld_envs.policies.rollout import Behaviour, rollout

SMALL = {
    "rb": {"topology": "ring", "num_clusters": 5, "nodes_per_cluster": 1},
    "cbf": {"rings": 1},
    "ns": {"rings": 1},
}
"""Parameters of each task's network of five or seven agents."""


def logs(task="rb", lengths=(4, 7), seed=0, policy="random", **changes):
    """Arrays by name, one group per episode, of a network that is not the task's default."""
    params = networld_envs.make_params(task, **{**SMALL[task], **changes})
    out = {}
    for k, steps in enumerate(lengths):
        made = rollout(task, params, Behaviour(policy), [seed + k], steps)
        table = made.neighbours[0]
        padding = np.full((len(table), 1), -1, table.dtype)
        out[f"episode_{k}/observations"] = made.obs[0]
        out[f"episode_{k}/actions"] = made.actions[0]
        out[f"episode_{k}/agent_rewards"] = made.rewards[0].astype(np.float64)
        full = task != "rb"
        out[f"episode_{k}/neighbours"] = table if full else np.hstack([table, padding])
    return out


def save(path, arrays):
    """Write arrays to a file, .npz or HDF5, and return its path."""
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, value in arrays.items():
                file[name] = value
    return path
