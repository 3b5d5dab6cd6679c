"""Network slicing in a dense cellular network (task ``ns``).

Every base station (BS) of a hexagonal network splits its band among three slices - voice (VoLTE),
video and URLLC - once per interval of 100 ms. Packets that are not served within their slice's
deadline violate its service level agreement. Demand drifts, and busy neighbours interfere.

Model
-----
In interval k, BS n allocates ``b_s`` Hz to slice s; its sub-slots t last 1 ms::

    lambda_s = lambda0_s exp(x_s - sigma^2 / 2),  x_s <- phi x_s + sqrt(1 - phi^2) sigma e
               phi = exp(-1 / tau), e ~ N(0, 1), packets per sub-slot; x is an AR(1) process
    a_s(t)   ~ Poisson(lambda_s)                                           packets arriving
    eta      = layers log2(1 + 1 / (noise + interference U)),  U = sum of neighbours' u / 6
    c_s      = b_s eta 1 ms / packet_bits_s                                packets per sub-slot
    M_s(t)   = min(H_s(t-1) + c_s, A_s(t)),  H_s(t) = max(M_s(t), A_s(t - d_s + 1))
    u        = sum_s (served bits) / (W eta 100 ms)

``A`` and ``H`` are cumulative arrivals and departures: queues are fluid, served oldest first, and
carry over between intervals. A packet that arrives in sub-slot t is *in time* when it is served in
sub-slots t .. t+d-1, ``d`` its slice's deadline in ms; otherwise it is *late*, and dropped at the
end of sub-slot t+d-1. So queued before + arrived = in time + expired + queued after.

Utilisation ``u`` is the share of the BS's band that carried traffic (spectrum that is allocated
but has nothing to send is silent) and acts on its neighbours in the next interval. BSs at the
border have fewer interferers. ``lambda0_s = load share_s W eta(U = load) 1 ms / packet_bits_s``: at
load 1 the mean demand fills the band of a cell whose six neighbours are as busy.

At reset ``x`` is stationary, queues are empty, the demand of the last two intervals has been
measured, and all cells have been utilised to the degree ``load``.

Observation (23 numbers, raw magnitudes; slices in the order VoLTE, video, URLLC)
---------------------------------------------------------------------------------

====== ======================== ===================================================== ==========
index  name                     meaning                                               range
====== ======================== ===================================================== ==========
0-2    packets                  packets that arrived in the last interval             [0, inf)
3-5    bits                     the same in bits                                      [0, inf)
6-8    packets_before           packets that arrived in the interval before           [0, inf)
9-11   bits_before              the same in bits                                      [0, inf)
12-14  allocation_hz            last allocation as applied, 0 before the first one    [0, W]
15-17  ssr                      SLA satisfaction ratio of the last interval           [0, 1]
18     spectral_efficiency      eta of the last interval, bit/s/Hz, 0 before the first [0, eta(0)]
19-21  backlog                  packets queued                                        [0, inf)
22     neighbour_utilisation    U, which sets eta of the next interval                [0, 1]
====== ======================== ===================================================== ==========

Action: ``Box(0, W, (3,))`` in Hz. If the sum exceeds W it is scaled down to W; a smaller sum leaves
spectrum unused.

Neighbours: adjacent cells, at most 6.

Reward of an agent: mean over slices of SSR = in time / (in time + expired), packets whose fate was
settled in the interval; 1 if there are none. Options::

    r = sum_s w_s SSR_s / sum_s w_s + se_weight (served bits / (W 100 ms))
        - violation_penalty (share of slices with SSR_s < ssr_target)

Parameters
----------

================= ================= ===================== =====================================
name              unit              default               source
================= ================= ===================== =====================================
rings             rings             2                     [P] 19 BSs
bandwidth_hz      Hz                10e6                  [P]
packet_bits       bit               (320, 6480, 20480)    [C] VoLTE 40 B [P]
load_shares       of load           (.05, .55, .40)       [C]
deadlines_ms      ms                (10, 10, 2)           [C]
load              of the band       0.8                   [C]
demand_sigma      log-normal        1.0                   [C]
demand_tau        intervals         20                    [C]
interference      of the signal     0.15                  [C]
noise             of the signal     0.01                  [C] 20 dB
layers            streams           2                     [C]
sub_slots         ms                100                   [C] one decision per 100 ms
slice_weights                       (1, 1, 1)             [C]
se_weight         1/(bit/s/Hz)      0                     [C]
violation_penalty                   0                     [C]
ssr_target                          0.95                  [C]
================= ================= ===================== =====================================

Episodes end by truncation only.

Sources: [P] Shao, Li, Zhao, Zhang, "Graph attention network-based multi-agent reinforcement
learning for slicing resource management in dense cellular network", IEEE Trans. Veh. Technol.
70(10), 2021; Hua et al., "GAN-powered deep distributional reinforcement learning for resource
management in network slicing", IEEE J. Sel. Areas Commun. 38(2), 2020. The fluid model is ours [C].

Version history: v0, first version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from networld_envs.physics.queueing import serve_before_deadline
from networld_envs.physics.topology import hex_grid, hex_neighbours, num_hex_cells
from networld_envs.spec import TaskSpec

NAME = "ns"
AGENT = "bs"

SLICES = ("volte", "video", "urllc")
SUB_SLOT_S = 1e-3

# Columns of the observation, by name.
OBSERVATION: dict[str, slice] = {
    "packets": slice(0, 3),
    "bits": slice(3, 6),
    "packets_before": slice(6, 9),
    "bits_before": slice(9, 12),
    "allocation_hz": slice(12, 15),
    "ssr": slice(15, 18),
    "spectral_efficiency": slice(18, 19),
    "backlog": slice(19, 22),
    "neighbour_utilisation": slice(22, 23),
}
OBS_DIM = 23


@dataclass(frozen=True)
class Params:
    """Parameters of the task; the module's table gives units and sources.

    Raises:
        ValueError: If a value is out of range.
    """

    rings: int = 2
    bandwidth_hz: float = 10e6
    packet_bits: tuple[float, float, float] = (320.0, 6480.0, 20480.0)
    load_shares: tuple[float, float, float] = (0.05, 0.55, 0.40)
    deadlines_ms: tuple[int, int, int] = (10, 10, 2)
    load: float = 0.8
    demand_sigma: float = 1.0
    demand_tau: float = 20.0
    interference: float = 0.15
    noise: float = 0.01
    layers: float = 2.0
    sub_slots: int = 100
    slice_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    se_weight: float = 0.0
    violation_penalty: float = 0.0
    ssr_target: float = 0.95

    def __post_init__(self) -> None:
        for name, low, high in (("rings", 0, 1000), ("sub_slots", 1, 100_000)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} must be an integer in [{low}, {high}], got {value!r}")
        for name, low, high in (
            ("bandwidth_hz", 1.0, 1e12),
            ("load", 0.0, 1e3),
            ("demand_sigma", 0.0, 3.0),
            ("demand_tau", 1e-3, 1e9),
            ("interference", 0.0, 1e6),
            ("noise", 1e-9, 1e6),
            ("layers", 1e-3, 1e3),
            ("se_weight", -1e6, 1e6),
            ("violation_penalty", 0.0, 1e6),
            ("ssr_target", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if not _is_number_in(value, low, high):
                raise ValueError(f"{name} must be a number in [{low:g}, {high:g}], got {value!r}")
        for name, low, high in (
            ("packet_bits", 1.0, 1e9),
            ("load_shares", 0.0, 1.0),
            ("deadlines_ms", 1, 1000),
            ("slice_weights", 0.0, 1e6),
        ):
            values = getattr(self, name)
            if isinstance(values, list):  # what JSON and TOML make of a tuple
                values = tuple(values)
                object.__setattr__(self, name, values)
            if not (
                isinstance(values, tuple)
                and len(values) == len(SLICES)
                and all(_is_number_in(value, low, high) for value in values)
            ):
                raise ValueError(
                    f"{name} must be {len(SLICES)} numbers in [{low:g}, {high:g}], got {values!r}"
                )
        if any(not isinstance(d, int) for d in self.deadlines_ms):
            raise ValueError(f"deadlines_ms must be integers, got {self.deadlines_ms!r}")
        if abs(sum(self.load_shares) - 1.0) > 1e-9:
            raise ValueError(f"load_shares must sum to 1, got {self.load_shares!r}")
        if sum(self.slice_weights) <= 0.0:
            raise ValueError(f"slice_weights must have a sum above 0, got {self.slice_weights!r}")

    @property
    def num_agents(self) -> int:
        """Base stations ``N``."""
        return num_hex_cells(self.rings)

    @property
    def mean_arrivals(self) -> NDArray[np.float64]:
        """``(3,)`` lambda0: mean packets per sub-slot of each slice."""
        bits = self.load * self.bandwidth_hz * SUB_SLOT_S
        bits *= float(spectral_efficiency(self, np.float64(self.load)))
        return np.array(self.load_shares) * bits / np.array(self.packet_bits)

    @property
    def demand_memory(self) -> float:
        """Autocorrelation phi of the log-demand from one interval to the next."""
        return float(np.exp(-1.0 / self.demand_tau))


def _is_number_in(value: object, low: float, high: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return low <= value <= high


PRESETS: dict[str, Params] = {"default": Params()}


@dataclass(frozen=True)
class State:
    """One interval boundary of ``E`` networks of ``N`` BSs, ``S = 3`` slices.

    Attributes:
        log_demand: ``(E, N, S)`` float64, x of the coming interval.
        packets: ``(E, N, S)`` float64, packets that arrived in the last interval.
        packets_before: ``(E, N, S)`` float64, those of the interval before it.
        allocation_hz: ``(E, N, S)`` float64, as applied; zero right after reset.
        in_time: ``(E, N, S)`` float64, packets served within their deadline.
        expired: ``(E, N, S)`` float64, packets dropped for being late.
        backlog: ``(E, N, S, G)`` float64, packets queued that arrived at least g sub-slots before
            the last one; ``[..., 0]`` is the whole queue.
        spectral_efficiency: ``(E, N)`` float64, bit/s/Hz; zero right after reset.
        utilisation: ``(E, N)`` float64, share of the band that carried traffic.
    """

    log_demand: NDArray[np.float64]
    packets: NDArray[np.float64]
    packets_before: NDArray[np.float64]
    allocation_hz: NDArray[np.float64]
    in_time: NDArray[np.float64]
    expired: NDArray[np.float64]
    backlog: NDArray[np.float64]
    spectral_efficiency: NDArray[np.float64]
    utilisation: NDArray[np.float64]


def spec(params: Params) -> TaskSpec:
    """Sizes and bounds for learners."""
    return TaskSpec(
        task=NAME,
        num_agents=params.num_agents,
        obs_dim=OBS_DIM,
        action_kind="box",
        action_dim=len(SLICES),
        action_low=(0.0,) * len(SLICES),
        action_high=(float(params.bandwidth_hz),) * len(SLICES),
        neighbour_slots=6,
        last_action=tuple(range(OBS_DIM)[OBSERVATION["allocation_hz"]]),
    )


def observation_space(params: Params) -> Box:
    """Observation of one agent, ``(23,)`` float32; counts end at the largest finite float32."""
    # Gymnasium's checker refuses an infinite bound.
    high = np.full(OBS_DIM, np.finfo(np.float32).max, dtype=np.float32)
    high[OBSERVATION["allocation_hz"]] = params.bandwidth_hz
    high[OBSERVATION["ssr"]] = 1.0
    high[OBSERVATION["spectral_efficiency"]] = spectral_efficiency(params, np.float64(0.0))
    high[OBSERVATION["neighbour_utilisation"]] = 1.0
    return Box(np.zeros(OBS_DIM, np.float32), high, dtype=np.float32)


def action_space(params: Params) -> Box:
    """Action of one agent: Hz for each slice, ``(3,)`` float32."""
    return Box(0.0, np.float32(params.bandwidth_hz), (len(SLICES),), np.float32)


def spectral_efficiency(params: Params, neighbour_utilisation: Any) -> Any:
    """``layers log2(1 + 1 / (noise + interference U))`` in bit/s/Hz, elementwise."""
    disturbance = params.noise + params.interference * neighbour_utilisation
    return params.layers * np.log2(1.0 + 1.0 / disturbance)


def neighbour_utilisation(params: Params, utilisation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the neighbours' utilisation over 6, ``(E, N)``; cells off the border are silent."""
    table = _hex_table(params.rings)
    padded = np.concatenate([utilisation, np.zeros((len(utilisation), 1))], axis=1)
    total = np.zeros_like(utilisation)
    for slot in range(table.shape[1]):
        total += padded[:, table[:, slot]]  # -1 reads the zero column
    return total / 6.0


def applied_allocation(params: Params, actions: NDArray[Any]) -> NDArray[np.float64]:
    """Scale down what exceeds the band: ``b <- b min(1, W / sum b)``, ``(..., 3)`` Hz."""
    wanted = np.asarray(actions, dtype=np.float64)
    total = wanted[..., 0] + wanted[..., 1] + wanted[..., 2]
    scale = params.bandwidth_hz / np.maximum(total, params.bandwidth_hz)
    return wanted * scale[..., None]


def reset(params: Params, rngs: Sequence[np.random.Generator]) -> State:
    """Stationary demand, empty queues.

    Args:
        params: Parameters of the task.
        rngs: One generator per environment.
    """
    shape = (params.num_agents, len(SLICES))
    history = np.empty((2, len(rngs), *shape))
    log_demand = np.empty((len(rngs), *shape))
    for e, rng in enumerate(rngs):
        x = params.demand_sigma * rng.standard_normal(shape)
        for measured in history:
            measured[e] = rng.poisson(_arrival_rate(params, x) * params.sub_slots)
            x = _next_log_demand(params, x, rng.standard_normal(shape))
        log_demand[e] = x
    none = np.zeros((len(rngs), *shape))
    return State(
        log_demand=log_demand,
        packets=history[1],
        packets_before=history[0],
        allocation_hz=none,
        in_time=none,
        expired=none,
        backlog=np.zeros((*none.shape, max(1, max(params.deadlines_ms) - 1))),
        spectral_efficiency=np.zeros(none.shape[:2]),
        utilisation=np.full(none.shape[:2], min(params.load, 1.0)),
    )


def observe(params: Params, state: State) -> NDArray[np.float32]:
    """What every agent sees, ``(E, N, 23)`` float32."""
    bits = np.array(params.packet_bits)
    obs = np.empty((*state.utilisation.shape, OBS_DIM), dtype=np.float32)
    obs[..., 0:3] = state.packets
    obs[..., 3:6] = state.packets * bits
    obs[..., 6:9] = state.packets_before
    obs[..., 9:12] = state.packets_before * bits
    obs[..., 12:15] = state.allocation_hz
    obs[..., 15:18] = satisfaction_ratio(state)
    obs[..., 18] = state.spectral_efficiency
    obs[..., 19:22] = state.backlog[..., 0]
    obs[..., 22] = neighbour_utilisation(params, state.utilisation)
    return obs


def transition(
    params: Params, state: State, actions: NDArray[Any], rngs: Sequence[np.random.Generator]
) -> State:
    """One interval.

    Args:
        params: Parameters of the task.
        state: State at the start of the interval.
        actions: ``(E, N, 3)`` Hz, each in [0, W].
        rngs: One generator per environment.
    """
    envs, cells, slices = state.log_demand.shape
    rate = _arrival_rate(params, state.log_demand)
    arrivals = np.empty((params.sub_slots, envs, cells, slices))
    innovation = np.empty_like(state.log_demand)
    for e, rng in enumerate(rngs):
        arrivals[:, e] = rng.poisson(rate[e], size=(params.sub_slots, cells, slices))
        innovation[e] = rng.standard_normal((cells, slices))
    allocation = applied_allocation(params, actions)
    efficiency = spectral_efficiency(params, neighbour_utilisation(params, state.utilisation))
    bits = np.array(params.packet_bits)
    service = allocation * (efficiency * SUB_SLOT_S)[..., None] / bits
    result = serve_before_deadline(arrivals, service, np.array(params.deadlines_ms), state.backlog)
    served = result.in_time * bits
    capacity = efficiency * (params.bandwidth_hz * SUB_SLOT_S * params.sub_slots)
    used = (served[..., 0] + served[..., 1] + served[..., 2]) / capacity
    return State(
        log_demand=_next_log_demand(params, state.log_demand, innovation),
        packets=arrivals.sum(axis=0),
        packets_before=state.packets,
        allocation_hz=allocation,
        in_time=result.in_time,
        expired=result.expired,
        backlog=result.backlog,
        spectral_efficiency=efficiency,
        utilisation=np.minimum(used, 1.0),
    )


def satisfaction_ratio(state: State) -> NDArray[np.float64]:
    """SSR: packets in time over packets in time or expired, 1 if none, ``(E, N, 3)``."""
    settled = state.in_time + state.expired
    return np.where(settled > 0.0, state.in_time / np.where(settled > 0.0, settled, 1.0), 1.0)


def reward(
    params: Params, state: State, actions: NDArray[Any], next_state: State
) -> NDArray[np.float32]:
    """Reward of every agent, ``(E, N)`` float32."""
    del state, actions
    ssr = satisfaction_ratio(next_state)
    weights = np.array(params.slice_weights)
    weights /= weights.sum()
    value = weights[0] * ssr[..., 0] + weights[1] * ssr[..., 1] + weights[2] * ssr[..., 2]
    if params.se_weight:
        value += params.se_weight * next_state.utilisation * next_state.spectral_efficiency
    if params.violation_penalty:
        value -= params.violation_penalty * (ssr < params.ssr_target).mean(axis=-1)
    return value.astype(np.float32)


def neighbours(params: Params, state: State) -> NDArray[np.int32]:
    """Adjacent cells, ``(E, N, 6)`` int32, padded with -1."""
    return np.repeat(_hex_table(params.rings)[None], len(state.utilisation), axis=0)


def metrics(params: Params, state: State) -> dict[str, NDArray[Any]]:
    """What the last interval did, ``(E, N, 3)`` or ``(E, N)``; zeros right after reset."""
    del params
    elapsed = state.spectral_efficiency > 0.0  # an interval has passed
    per_slice = elapsed[..., None]
    return {
        "arrived": state.packets * per_slice,
        "in_time": state.in_time,
        "expired": state.expired,
        "queued": state.backlog[..., 0],
        "ssr": satisfaction_ratio(state) * per_slice,
        "allocation_hz": state.allocation_hz,
        "spectral_efficiency": state.spectral_efficiency,
        "utilisation": state.utilisation * elapsed,
    }


def global_state(params: Params, state: State) -> NDArray[np.float32]:
    """Everything that matters, ``(E, 27 N)`` float32, for centralised training.

    All observations, the log-demand of the coming interval and every BS's utilisation.
    """
    envs = len(state.utilisation)
    parts = (
        observe(params, state).reshape(envs, -1),
        state.log_demand.reshape(envs, -1),
        state.utilisation,
    )
    return np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")


def layout(params: Params, state: State) -> NDArray[np.float64]:
    """Positions for drawing, ``(E, N, 2)`` in units of the inter-site distance."""
    return np.repeat(hex_grid(params.rings)[None], len(state.utilisation), axis=0)


def _arrival_rate(params: Params, log_demand: NDArray[np.float64]) -> NDArray[np.float64]:
    """Packets per sub-slot, ``(..., 3)``."""
    return params.mean_arrivals * np.exp(log_demand - 0.5 * params.demand_sigma**2)


def _next_log_demand(
    params: Params, log_demand: NDArray[np.float64], innovation: NDArray[np.float64]
) -> NDArray[np.float64]:
    phi = params.demand_memory
    return phi * log_demand + np.sqrt(1.0 - phi * phi) * params.demand_sigma * innovation


@lru_cache(maxsize=8)
def _hex_table(rings: int) -> NDArray[np.int32]:
    table = hex_neighbours(rings)
    table.setflags(write=False)
    return table
