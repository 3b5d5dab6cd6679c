"""Steps of resource-block scheduling with compiled loops, bit for bit equal to the NumPy steps.

NumPy still draws random numbers; `networld_envs.rb.kernels` computes the rest.
`networld_envs.compiled` compares both kinds of steps before it uses this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.rb import kernels, task
from networld_envs.rb.types import Params, State


def covers(params: Params) -> bool:
    """Whether these loops support the parameters."""
    return params.nodes_per_cluster <= kernels.MOST_NODES


def transition(
    params: Params,
    state: State,
    actions: NDArray[np.integer[Any]],
    rngs: Sequence[np.random.Generator],
) -> State:
    """`networld_envs.rb.transition`."""
    uniform = np.empty((len(rngs), params.num_agents + params.num_clusters))
    for e, rng in enumerate(rngs):
        uniform[e] = rng.random(uniform.shape[1])
    requests = np.array(actions, np.int64, order="C")
    packets = params.load * params.resource_blocks
    grants, sent, success, burst, mean = kernels.before_draws(
        requests,
        uniform,
        np.ascontiguousarray(state.queue),
        np.ascontiguousarray(state.conflicts),
        np.ascontiguousarray(state.weights),
        np.ascontiguousarray(state.burst),
        params.resource_blocks,
        float(params.conflict),
        float(params.burst_flip),
        (float(packets * params.burst_low), float(packets * params.burst_high)),
    )
    return task.drawn(params, state, rngs, success, mean, requests, grants, sent, burst)


def observe(params: Params, state: State) -> NDArray[np.float32]:
    """`networld_envs.rb.observe`."""
    if params.observation == "cdmp":
        return task.observe(params, state)
    return kernels.observe(
        np.ascontiguousarray(state.arrivals),
        np.ascontiguousarray(state.queue),
        np.ascontiguousarray(state.grants),
        np.ascontiguousarray(state.served),
        np.ascontiguousarray(state.sent),
        np.ascontiguousarray(state.requests),
        params.num_clusters,
        params.resource_blocks,
    )
