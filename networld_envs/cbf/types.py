"""Parameters and state of the coordinated-beamforming task; the model is in `networld_envs.cbf`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from networld_envs import validate
from networld_envs.physics import radio, topology

GAIN_FLOOR_DB10 = -4.0
"""Smallest gain an observation shows, dB / 10."""
MOST_GAIN_DB = 300.0
"""Largest power over noise of a link; single precision overflows from 385 dB on."""
MOST_ENTRIES = 10_000_000
"""Numbers in the largest array of one network; a step then takes seconds."""


@dataclass(frozen=True)
class Params:
    """Parameters of the task; the table in `networld_envs.cbf` gives their sources.

    Attributes:
        rings: Rings of cells around the centre cell: 0, 1, 2 rings are 1, 7, 19 cells.
        antennas: Elements ``n`` of the linear array of a base station.
        neighbours: Users ``U`` of other cells that an observation lists.
        inter_site_m: Distance of adjacent base stations, m.
        min_distance_m: Smallest distance of a user from its base station, m.
        max_distance_m: Largest distance of a user from its base station, m.
        power_dbm: Largest transmit power, dBm.
        noise_dbm: Noise power at a user, dBm.
        path_loss_1km_db: Path loss at 1 km, dB.
        path_loss_slope_db: Increase of the path loss per decade of distance, dB.
        shadowing_db: Standard deviation of the log-normal shadowing, dB.
        paths: Propagation paths ``L`` of each link.
        angular_spread_deg: Total width of the cone of path angles, degrees.
        correlation: Correlation of the fading from one slot to the next, in [0, 1].
        observation: What an agent sees: ``"angle"``, ``"csi"`` or ``"ge2020"``.
        action: ``"box"``, a continuous beamformer, or ``"codebook"``, a beam and a power level.
        power_levels: Power levels of the codebook action: 0, 1/(V-1), .., 1.
        codewords: Beams of the codebook action.
        reward_set: Users whose loss counts: ``"gain"``, the listed ones, or ``"power"``, those that
            received most power from the base station in the slot.
        wrap_around: Whether the borders are joined, so that every cell is surrounded.
        user_speed_mps: Speed of the users, m/s.
        slot_s: Duration of a slot, s; matters only for moving users.
        sinr_cap_db: Largest useful ratio of signal to interference plus noise, dB; None for no
            limit.
        max_links: Base stations that a user has a link to; None for all.

    Raises:
        ValueError: If a value is out of range, two values are incompatible, the network is too
            large, or users are so close to a powerful base station that numbers overflow.
        TypeError: If a value is not a number.
    """

    LIMITS: ClassVar[dict[str, tuple[float, float]]] = {
        "rings": (0, 60),
        "antennas": (1, 256),
        "neighbours": (0, 1000),
        "inter_site_m": (1e-3, 1e6),
        "min_distance_m": (1e-3, 1e6),
        "max_distance_m": (1e-3, 1e6),
        "power_dbm": (-300.0, 300.0),
        "noise_dbm": (-300.0, 300.0),
        "path_loss_1km_db": (-300.0, 300.0),
        "path_loss_slope_db": (0.0, 200.0),
        "shadowing_db": (0.0, 30.0),
        "paths": (1, 64),
        "angular_spread_deg": (0.0, 360.0),
        "correlation": (0.0, 1.0),
        "power_levels": (2, 64),
        "codewords": (1, 1024),
        "user_speed_mps": (0.0, 300.0),
        "slot_s": (1e-6, 10.0),
        "sinr_cap_db": (-300.0, 300.0),
        "max_links": (2, 12_000),
    }
    """Smallest and largest value of each number. Combinations are limited too: the largest power
    over noise of a link must not exceed `MOST_GAIN_DB`, and no array may exceed `MOST_ENTRIES`."""

    rings: int = 2
    antennas: int = 4
    neighbours: int = 6
    inter_site_m: float = 400.0
    min_distance_m: float = 10.0
    max_distance_m: float = 200.0
    power_dbm: float = 38.0
    noise_dbm: float = -114.0
    path_loss_1km_db: float = 120.9
    path_loss_slope_db: float = 37.6
    shadowing_db: float = 8.0
    paths: int = 4
    angular_spread_deg: float = 3.0
    correlation: float = 0.64
    observation: Literal["angle", "csi", "ge2020"] = "angle"
    action: Literal["box", "codebook"] = "box"
    power_levels: int = 5
    codewords: int = 8
    reward_set: Literal["gain", "power"] = "gain"
    wrap_around: bool = False
    user_speed_mps: float = 0.0
    slot_s: float = 0.02
    sinr_cap_db: float | None = None
    max_links: int | None = None

    def __post_init__(self) -> None:
        validate.ranges(self, self.LIMITS)
        validate.real(self, "max_distance_m", low=self.min_distance_m, high=1e6)
        validate.one_of(self, "observation", ("angle", "csi", "ge2020"))
        validate.one_of(self, "action", ("box", "codebook"))
        validate.one_of(self, "reward_set", ("gain", "power"))
        validate.flag(self, "wrap_around")
        if self.observation == "ge2020" and self.action != "codebook":
            raise ValueError(
                "observation='ge2020' shows the last codeword, so it needs action='codebook', "
                f"got action={self.action!r}"
            )
        power_sets = self.observation == "ge2020" or self.reward_set == "power"
        if self.truncated and power_sets:
            raise ValueError(
                "observation='ge2020' and reward_set='power' rank all received powers and need "
                f"max_links=None or at least {self.num_agents}, got {self.max_links!r}"
            )
        if (gain_db := largest_gain_db(self)) > MOST_GAIN_DB:
            names = ("power_dbm", "noise_dbm", "path_loss_1km_db", "path_loss_slope_db")
            names = (*names, "min_distance_m", "shadowing_db")
            given = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
            raise ValueError(
                f"Params with {given} allow a power of {gain_db:.0f} dB over the noise, and at "
                f"most {MOST_GAIN_DB:.0f} dB are allowed: reduce the power or the shadowing, or "
                "raise the noise, the path loss or the smallest distance"
            )
        links = self.num_agents * self.num_links
        seen = {"angle": 3, "csi": 2 * self.antennas, "ge2020": 11}[self.observation]
        listed = self.num_agents * self.neighbours * seen
        entries = max(links * max(self.antennas, self.paths), listed)
        names = ("rings", "max_links", "antennas", "paths", "neighbours")
        validate.size(self, "numbers in one array", entries, MOST_ENTRIES, names)

    @property
    def num_agents(self) -> int:
        """Cells ``K``."""
        return topology.num_hex_cells(self.rings)

    @property
    def truncated(self) -> bool:
        """Whether users have links to only some of the base stations."""
        return self.max_links is not None and self.max_links < self.num_agents

    @property
    def num_links(self) -> int:
        """Links ``D`` of each user."""
        return min(self.max_links or self.num_agents, self.num_agents)

    @property
    def num_actions(self) -> int:
        """Choices of the codebook action."""
        return self.power_levels * self.codewords


@dataclass(frozen=True)
class State:
    """Batch of networks; ``K`` cells, ``D`` links per user, ``n`` antennas, ``L`` paths.

    Without truncation ``D = K``, and link ``j`` of a user leads to base station j. With truncation,
    link 0 leads to the own base station, and the others follow by decreasing gain. Fields that only
    one option needs have trailing axes of length zero without that option.

    Attributes:
        user_m: ``(E, K, 2)`` user positions, m.
        gain: ``(E, K, D)`` large-scale gain [user, link], times power over noise.
        phasor: ``(E, L, K, D)`` complex64 ``e^{j psi}`` of each path, psi its electrical angle in
            the frame of the link's base station.
        fading: ``(E, L, K, D)`` complex64 path fading ``g`` of this slot.
        neighbours: ``(E, K, U)`` int32 listed users, those with the largest gain from the base
            station, padded with -1.
        links: ``(E, K, U)`` int64 link from this base station to the listed user, as its place
            ``user * D + link`` among the links of the network; the own link for an empty slot.
        geometry: ``(E, K, 2 + 3U)`` float32 gains and angles, as in the observation ``angle``.
        stations: ``(E, K, D)`` int32 base station of each link, -1 for none; truncated only.
        rest: ``(E, K)`` mean power of the base stations beyond the links; zero if not truncated.
        leak_rest: ``(E, K)`` mean power sent to users without a link to the station, likewise.
        shadow_db: ``(E, K, D)`` shadowing, dB; moving users only.
        spread: ``(E, K, D, L)`` path angles in units of the angular spread; moving users only.
        site_m: ``(E, K, D, 2)`` from the own base station to that of the link, m; moving users
            only.
        velocity_mps: ``(E, K, 2)`` of the users, m/s; moving users only.
        beamformer: ``(E, K, n)`` complex64 beamformer last applied, own frame.
        choice: ``(E, K)`` int64 last codebook action; codebook only.
        signal: ``(E, K)`` power of the own signal with this slot's channel and last beamformers.
        interference_plus_noise: ``(E, K)`` ``IN``, with the same channel and beamformers.
        rate: ``(E, K)`` achieved in the last transmission, bit/s/Hz; zero after a reset.
        caused_loss: ``(E, K)`` rate the last transmission cost the neighbours, bit/s/Hz.
        history: ``(E, K, 11U + 2)`` float32 what ``ge2020`` remembers of the last two slots.
    """

    user_m: NDArray[np.float64]
    gain: NDArray[np.float64]
    phasor: NDArray[np.complex64]
    fading: NDArray[np.complex64]
    neighbours: NDArray[np.int32]
    links: NDArray[np.int64]
    geometry: NDArray[np.float32]
    stations: NDArray[np.int32]
    rest: NDArray[np.float64]
    leak_rest: NDArray[np.float64]
    shadow_db: NDArray[np.float64]
    spread: NDArray[np.float64]
    site_m: NDArray[np.float64]
    velocity_mps: NDArray[np.float64]
    beamformer: NDArray[np.complex64]
    choice: NDArray[np.int64]
    signal: NDArray[np.float64]
    interference_plus_noise: NDArray[np.float64]
    rate: NDArray[np.float64]
    caused_loss: NDArray[np.float64]
    history: NDArray[np.float32]

    def after(self, **changes: Any) -> State:
        """The state with some fields replaced; faster than `dataclasses.replace`."""
        state = object.__new__(State)
        state.__dict__.update(self.__dict__, **changes)
        return state

    @property
    def channel(self) -> NDArray[np.complex64]:
        """Channel ``(E, K, D, n)`` of this slot [user, link], ``sqrt(beta / L) A g``.

        Computed on demand, since the simulation only needs inner products.
        """
        amplitude = np.sqrt(self.gain / self.phasor.shape[1])[..., None]
        unit = radio.multipath_channel(self.phasor, self.fading, self.beamformer.shape[-1])
        return (amplitude * unit).astype(np.complex64)


def largest_gain_db(params: Params) -> float:
    """Largest power over noise of a link, dB: smallest distance, nine sigma of shadowing."""
    nearest_loss_db = radio.path_loss_db(
        np.array(params.min_distance_m / 1e3), params.path_loss_1km_db, params.path_loss_slope_db
    )
    peak_db = params.power_dbm - params.noise_dbm - nearest_loss_db + 9 * params.shadowing_db
    return float(peak_db)


def gain_ceiling_db10(params: Params) -> float:
    """Largest gain an observation shows, dB / 10."""
    return max(0.0, largest_gain_db(params)) / 10.0 + float(np.log10(params.num_agents))


@lru_cache(maxsize=16)
def station_positions_m(params: Params) -> NDArray[np.float64]:
    """``(K, 2)`` base stations, m; read-only."""
    positions = topology.hex_grid(params.rings) * params.inter_site_m
    positions.flags.writeable = False
    return positions
