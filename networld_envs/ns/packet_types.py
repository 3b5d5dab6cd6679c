"""Parameters and state of preset ``hua2019`` of network slicing: users, packets, resource blocks.

The model is in `networld_envs.ns`, its transition in `networld_envs.ns.packets`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from networld_envs import validate
from networld_envs.physics.topology import num_hex_cells

NUM_SLICES = 3
FLAGS = (
    "pointer_by_number",
    "offered_efficiency",
    "decimal_logarithm",
    "wipe_queues",
    "stall_sources",
    "square_drop",
)
"""Known defects of the authors' public code, all off by default."""
MOST_ENTRIES = 20_000_000
"""Numbers in the largest array of one network."""
MOST_USER_SLOTS = 400_000_000
"""Users times slots of a step, which then takes about a minute."""


@dataclass(frozen=True)
class PacketParams:
    """Parameters of the packet model, presets ``hua2019*``; `networld_envs.ns` has their sources.

    Attributes:
        rings: Rings of cells around the centre cell: 0, 1, 2 rings are 1, 7, 19 cells.
        bandwidth_hz: Band of each base station, Hz.
        users: Users of each slice in a cell.
        radius_m: Radius of a cell, m.
        min_distance_m: Users nearer to the base station count as this far away, m.
        power_dbm: Transmit power, dBm.
        receive_gain_db: Receive gain, dB.
        noise_dbm_hz: Noise power density, dBm/Hz.
        path_loss_1km_db: Path loss at 1 km, dB.
        path_loss_slope_db: Increase of the path loss per decade of distance, dB.
        shadowing_db: Standard deviation of the shadowing, which is redrawn in every slot, dB.
        layers: Spatial streams.
        block_hz: Width of a resource block, Hz.
        slot_s: Duration of a slot, s.
        slots: Slots between two decisions.
        buffer: Packets that a user's buffer holds.
        volte_gap_s: Largest gap between two VoLTE packets, s.
        volte_bits: Size of a VoLTE packet, bit.
        video_shape: Shape of the Pareto distributions of the video slice.
        video_gap_s: Scale and largest value of the gap between two video packets, s.
        video_bits: Scale and largest value of the size of a video packet, bit.
        urllc_gap_s: Mean gap between two URLLC packets, s.
        urllc_bits: Sizes of URLLC packets, equally likely, bit.
        sla_rate_bps: Smallest rate of each slice that meets its SLA, bit/s.
        sla_latency_s: Latency of each slice at which its SLA is violated, s.
        slice_weights: Weight of each slice in the reward.
        se_weight: Weight of the spectral efficiency in the reward, per bit/s/Hz.
        pointer_by_number: Defect of the public code: the round robin counts all user numbers,
            active or not, and restarts in every window.
        offered_efficiency: Defect of the public code: the spectral efficiency counts the rate
            offered.
        decimal_logarithm: Defect of the public code: log10 in place of log2.
        wipe_queues: Defect of the public code: buffers are emptied after every window.
        stall_sources: Defect of the public code: a packet waits while the buffer is full.
        square_drop: Defect of the public code: users are placed in a square.

    Raises:
        ValueError: If a value is out of range, or the network is too large.
        TypeError: If a value is not a number.
    """

    LIMITS: ClassVar[dict[str, tuple[float, float]]] = {
        "rings": (0, 60),
        "bandwidth_hz": (1.0, 1e12),
        "users": (0, 100_000),
        "radius_m": (1e-3, 1e6),
        "min_distance_m": (1e-3, 1e6),
        "power_dbm": (-200.0, 200.0),
        "receive_gain_db": (-200.0, 200.0),
        "noise_dbm_hz": (-300.0, 100.0),
        "path_loss_1km_db": (-300.0, 300.0),
        "path_loss_slope_db": (0.0, 200.0),
        "shadowing_db": (0.0, 50.0),
        "layers": (1e-3, 1e4),
        "block_hz": (1.0, 1e12),
        "slot_s": (1e-6, 1.0),
        "slots": (1, 100_000),
        "buffer": (1, 1000),
        "volte_gap_s": (0.0, 1e3),
        "volte_bits": (1.0, 1e12),
        "video_shape": (0.1, 100.0),
        "video_gap_s": (0.0, 1e3),
        "video_bits": (1.0, 1e12),
        "urllc_gap_s": (0.0, 1e3),
        "urllc_bits": (1.0, 1e12),
        "sla_rate_bps": (0.0, 1e15),
        "sla_latency_s": (0.0, 1e3),
        "slice_weights": (0.0, 1e6),
        "se_weight": (-1e6, 1e6),
    }
    """Smallest and largest value of each number, and of each entry of a tuple. All combinations can
    be simulated, except for networks that exceed `MOST_ENTRIES` or `MOST_USER_SLOTS`."""

    rings: int = 2
    bandwidth_hz: float = 10e6
    users: tuple[int, int, int] = (46, 46, 8)
    radius_m: float = 40.0
    min_distance_m: float = 1.0
    power_dbm: float = 46.0
    receive_gain_db: float = 20.0
    noise_dbm_hz: float = -174.0
    path_loss_1km_db: float = 145.4
    path_loss_slope_db: float = 37.5
    shadowing_db: float = 8.0
    layers: float = 64.0
    block_hz: float = 180e3
    slot_s: float = 0.5e-3
    slots: int = 2000
    buffer: int = 5
    volte_gap_s: float = 0.16
    volte_bits: float = 320.0
    video_shape: float = 1.2
    video_gap_s: tuple[float, float] = (6e-3, 12.5e-3)
    video_bits: tuple[float, float] = (800.0, 2000.0)
    urllc_gap_s: float = 0.18
    urllc_bits: tuple[float, ...] = (2.4e6, 3.2e6, 4.0e6, 4.8e6, 5.6e6)
    sla_rate_bps: tuple[float, float, float] = (51e3, 100e6, 10e6)
    sla_latency_s: tuple[float, float, float] = (10e-3, 10e-3, 3e-3)
    slice_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    se_weight: float = 0.01
    pointer_by_number: bool = False
    offered_efficiency: bool = False
    decimal_logarithm: bool = False
    wipe_queues: bool = False
    stall_sources: bool = False
    square_drop: bool = False

    def __post_init__(self) -> None:
        validate.ranges(self, self.LIMITS)
        validate.real(self, "min_distance_m", low=1e-3, high=self.radius_m)
        if sum(self.users) == 0:
            validate.fail(self, "users", "integers with a sum above 0")
        if min(self.latest_age) < 1:
            rule = f"above slot_s={self.slot_s:g} for each slice, or no packet can meet it"
            validate.fail(self, "sla_latency_s", rule)
        validate.flag(self, *FLAGS)
        users = self.num_agents * self.users_per_cell
        names = ("rings", "users", "buffer")
        validate.size(self, "numbers in one array", users * self.buffer, MOST_ENTRIES, names)
        names = ("rings", "users", "slots")
        validate.size(self, "user slots in a step", users * self.slots, MOST_USER_SLOTS, names)

    @property
    def num_agents(self) -> int:
        """Base stations ``N``."""
        return num_hex_cells(self.rings)

    @property
    def users_per_cell(self) -> int:
        """Users ``U`` of one cell."""
        return sum(self.users)

    @property
    def slice_of_user(self) -> NDArray[np.int64]:
        """``(U,)`` slice of each of a cell's users: VoLTE first, URLLC last."""
        return np.repeat(np.arange(NUM_SLICES), self.users)

    @property
    def band_blocks(self) -> int:
        """Resource blocks of the whole band."""
        return int(self.bandwidth_hz / self.block_hz + 1e-6)

    @property
    def latest_age(self) -> tuple[int, ...]:
        """Largest age in slots at delivery that is below each slice's latency limit."""
        return tuple(int(np.ceil(s / self.slot_s - 1e-6)) - 1 for s in self.sla_latency_s)


@dataclass(frozen=True)
class PacketState:
    """One window boundary of ``E`` networks of ``N`` BSs with ``U`` users, ``S = 3`` slices.

    Times are in slots, counted from the start of the coming window.

    Attributes:
        user_m: ``(E, N, U, 2)`` float64, position of each user from its BS.
        number: ``(E, N, U)`` int64, number of each user in its cell, increasing within a slice.
        bits: ``(E, N, U, B)`` float64, bits left of each packet in the buffer, oldest first.
        size: ``(E, N, U, B)`` float64, bits the packet had when it arrived; 0 for no packet.
        born: ``(E, N, U, B)`` int64, slot it arrived in, `NEVER` for no packet.
        is_late: ``(E, N, U, B)`` bool, whether it has exceeded its latency limit.
        due: ``(E, N, U)`` int64, slot of the user's next packet.
        pointer: ``(E, N, S)`` int64, user number at which the round robin continues.
        packets: ``(E, N, S)`` float64, packets that arrived in the last window.
        packets_before: ``(E, N, S)`` float64, those of the window before it.
        arrived_bits: ``(E, N, S)`` float64, their bits, last window.
        arrived_bits_before: ``(E, N, S)`` float64, window before.
        allocation_hz: ``(E, N, S)`` float64, as applied; zero right after reset.
        in_time: ``(E, N, S)`` float64, packets delivered as their SLA requires.
        expired: ``(E, N, S)`` float64, packets delivered otherwise, or late while still queued.
        dropped: ``(E, N, S)`` float64, packets that arrived at a full buffer, or that
            `wipe_queues` removed before they were in time or expired.
        ssr: ``(E, N, S)`` float64, in time over in time, expired and dropped; 1 if none.
        backlog: ``(E, N, S)`` float64, packets in the buffers.
        queued: ``(E, N, S)`` float64, those of them that can still be in time.
        spectral_efficiency: ``(E, N)`` float64, bit/s/Hz of the whole band.
        utilisation: ``(E, N)`` float64, share of the band's blocks that were granted.
        started: ``(E, N)`` bool, whether a window has passed since the reset.
    """

    user_m: NDArray[np.float64]
    number: NDArray[np.int64]
    bits: NDArray[np.float64]
    size: NDArray[np.float64]
    born: NDArray[np.int64]
    is_late: NDArray[np.bool_]
    due: NDArray[np.int64]
    pointer: NDArray[np.int64]
    packets: NDArray[np.float64]
    packets_before: NDArray[np.float64]
    arrived_bits: NDArray[np.float64]
    arrived_bits_before: NDArray[np.float64]
    allocation_hz: NDArray[np.float64]
    in_time: NDArray[np.float64]
    expired: NDArray[np.float64]
    dropped: NDArray[np.float64]
    ssr: NDArray[np.float64]
    backlog: NDArray[np.float64]
    queued: NDArray[np.float64]
    spectral_efficiency: NDArray[np.float64]
    utilisation: NDArray[np.float64]
    started: NDArray[np.bool_]
