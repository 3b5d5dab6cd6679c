"""Parameters and state of network slicing, default model; the model is in `networld_envs.ns`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from networld_envs import validate
from networld_envs.physics.topology import num_hex_cells

SLICES = ("volte", "video", "urllc")
SUB_SLOT_S = 1e-3
MOST_ENTRIES = 20_000_000
"""Numbers in the largest array of one network; a step then takes seconds."""


@dataclass(frozen=True)
class Params:
    """Parameters of the fluid model; the table in `networld_envs.ns` gives their sources.

    Attributes:
        rings: Rings of cells around the centre cell: 0, 1, 2 rings are 1, 7, 19 cells.
        bandwidth_hz: Band ``W`` of each base station, Hz.
        packet_bits: Size of a packet of each slice, bit.
        load_shares: Share of each slice in the load; they sum to 1.
        deadlines_ms: Deadline of each slice, ms.
        load: Mean demand, as a share of the band of a cell whose neighbours are equally busy; above
            1 they are fully busy.
        demand_sigma: Standard deviation of the log-demand.
        demand_tau: Time constant of the demand, intervals.
        interference: Interference of six fully used neighbours, relative to the signal.
        noise: Noise, relative to the signal.
        layers: Spatial streams.
        sub_slots: Milliseconds between two decisions.
        slice_weights: Weight of each slice in the reward.
        se_weight: Weight of the spectral efficiency in the reward, per bit/s/Hz.
        violation_penalty: Penalty if every slice misses ``ssr_target``.
        ssr_target: SLA satisfaction ratio below which a slice is penalised.
        hotspots: Hotspots per slice.
        hotspot_gain: Extra demand at the centre of a hotspot, relative to the demand.
        hotspot_width: Width of a hotspot, in inter-site distances.
        hotspot_tau: Time constant of the motion of hotspots, intervals.

    Raises:
        ValueError: If a value is out of range, or the network is too large.
        TypeError: If a value is not a number.
    """

    LIMITS: ClassVar[dict[str, tuple[float, float]]] = {
        "rings": (0, 60),
        "bandwidth_hz": (1.0, 1e12),
        "packet_bits": (1.0, 1e9),
        "load_shares": (0.0, 1.0),
        "deadlines_ms": (1, 1000),
        "load": (0.0, 1e3),
        "demand_sigma": (0.0, 3.0),
        "demand_tau": (1e-3, 1e9),
        "interference": (0.0, 1e6),
        "noise": (1e-9, 1e6),
        "layers": (1e-3, 1e3),
        "sub_slots": (1, 100_000),
        "slice_weights": (0.0, 1e6),
        "se_weight": (-1e6, 1e6),
        "violation_penalty": (0.0, 1e6),
        "ssr_target": (0.0, 1.0),
        "hotspots": (0, 1000),
        "hotspot_gain": (0.0, 1e3),
        "hotspot_width": (0.05, 1e3),
        "hotspot_tau": (1e-3, 1e9),
    }
    """Smallest and largest value of each number, and of each entry of a tuple. All combinations can
    be simulated, except for networks with an array that exceeds `MOST_ENTRIES`."""

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
    hotspots: int = 0
    hotspot_gain: float = 6.0
    hotspot_width: float = 1.0
    hotspot_tau: float = 10.0

    def __post_init__(self) -> None:
        validate.ranges(self, self.LIMITS)
        if abs(sum(self.load_shares) - 1.0) > 1e-9:
            validate.fail(self, "load_shares", "numbers with sum 1")
        if sum(self.slice_weights) <= 0.0:
            validate.fail(self, "slice_weights", "numbers with a sum above 0")
        longest = max(self.sub_slots, max(self.deadlines_ms), 2 * self.hotspots)
        names = ("rings", "sub_slots", "deadlines_ms", "hotspots")
        entries = self.num_agents * len(SLICES) * longest
        validate.size(self, "numbers in one array", entries, MOST_ENTRIES, names)

    @property
    def num_agents(self) -> int:
        """Base stations ``N``."""
        return num_hex_cells(self.rings)

    @property
    def shape(self) -> tuple[int, int]:
        """``(N, 3)``: cells and slices."""
        return self.num_agents, len(SLICES)

    @property
    def mean_arrivals(self) -> NDArray[np.float64]:
        """``(3,)`` lambda0: mean packets per sub-slot of each slice."""
        bits = self.load * self.bandwidth_hz * SUB_SLOT_S
        bits *= float(spectral_efficiency(self, np.float64(min(self.load, 1.0))))
        return np.array(self.load_shares) * bits / np.array(self.packet_bits)

    @property
    def demand_memory(self) -> float:
        """Autocorrelation phi of the log-demand from one interval to the next."""
        return float(np.exp(-1.0 / self.demand_tau))


@dataclass(frozen=True)
class State:
    """One interval boundary of ``E`` networks of ``N`` BSs, ``S = 3`` slices.

    Attributes:
        log_demand: ``(E, N, S)`` float64, x of the coming interval.
        hotspot: ``(E, S, H, 2)`` float64, positions of the hotspots, in inter-site distances.
        packets: ``(E, N, S)`` float64, packets that arrived in the last interval.
        packets_before: ``(E, N, S)`` float64, those of the interval before it.
        allocation_hz: ``(E, N, S)`` float64, as applied; zero right after reset.
        in_time: ``(E, N, S)`` float64, packets served within their deadline.
        expired: ``(E, N, S)`` float64, packets dropped because they were late.
        ssr: ``(E, N, S)`` float64, in time over settled packets; 1 where none were settled.
        backlog: ``(E, N, S, G)`` float64, packets queued that arrived at least g sub-slots before
            the last one; ``[..., 0]`` is the whole queue.
        spectral_efficiency: ``(E, N)`` float64, bit/s/Hz; zero right after reset.
        utilisation: ``(E, N)`` float64, share of the band that carried traffic.
    """

    log_demand: NDArray[np.float64]
    hotspot: NDArray[np.float64]
    packets: NDArray[np.float64]
    packets_before: NDArray[np.float64]
    allocation_hz: NDArray[np.float64]
    in_time: NDArray[np.float64]
    expired: NDArray[np.float64]
    ssr: NDArray[np.float64]
    backlog: NDArray[np.float64]
    spectral_efficiency: NDArray[np.float64]
    utilisation: NDArray[np.float64]

    @property
    def queued(self) -> NDArray[np.float64]:
        """``(E, N, S)`` packets in the queues."""
        return self.backlog[..., 0]

    @property
    def started(self) -> NDArray[np.bool_]:
        """``(E, N)`` whether an interval has passed since the reset."""
        return self.spectral_efficiency > 0.0


def spectral_efficiency(params: Params, neighbour_utilisation: Any) -> Any:
    """``layers log2(1 + 1 / (noise + interference U))`` in bit/s/Hz, elementwise."""
    interference_plus_noise = params.noise + params.interference * neighbour_utilisation
    return params.layers * np.log2(1.0 + 1.0 / interference_plus_noise)
