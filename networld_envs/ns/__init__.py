"""Network slicing in a dense cellular network (task ``ns``).

Every base station (BS) of a hexagonal network splits its band among three slices - voice (VoLTE),
video and URLLC - once per interval of 100 ms. Packets that are not served within their slice's
deadline violate its service level agreement (SLA). Demand drifts, and busy neighbours interfere.

Presets: ``default``; ``hotspots``, the same with bursts that drift across cells; ``hua2019``, the
packet-level model of [H], described at the end; ``hua2019_code``, one cell of it as the authors'
public code has it, with all its defects and small URLLC packets, to compare with published values.

Model
-----
In interval k, BS n allocates ``b_s`` Hz to slice s; its sub-slots t last 1 ms::

    lambda_s = lambda0_s exp(x_s - sigma^2 / 2) f_s               packets per sub-slot
    x_s     <- phi x_s + sqrt(1 - phi^2) sigma e                  e ~ N(0, 1), phi = exp(-1 / tau)
    a_s(t)   ~ Poisson(lambda_s)                                  packets arriving
    eta      = layers log2(1 + 1 / (noise + interference U)),  U = sum of neighbours' u / 6
    c_s      = b_s eta 1 ms / packet_bits_s                       packets per sub-slot
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

*Hotspots.* Each slice has ``hotspots`` points ``z_h`` that wander over the network. Near them its
demand is multiplied by ``f_s = 1 + gain sum_h exp(-|p_n - z_h|^2 / (2 width^2))``, ``p_n`` the
place of the BS, in inter-site distances. Each coordinate of ``z_h`` is an AR(1) process like x,
with ``hotspot_tau`` and standard deviation ``(rings + 0.5) / 2``. Without hotspots ``f = 1``; with
them ``load`` is that of a cell far from all.

At reset ``x`` and ``z`` are stationary, queues are empty, the demand of the last two intervals has
been measured, and all cells have been utilised to the degree ``load``.

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

================= ==================== =================== =====================================
name              unit                 default             source
================= ==================== =================== =====================================
rings             rings                2                   [P] 19 BSs
bandwidth_hz      Hz                   10e6                [P]
packet_bits       bit                  (320, 6480, 20480)  [C] VoLTE 40 B [H]
load_shares       of load              (.05, .55, .40)     [C]
deadlines_ms      ms                   (10, 10, 2)         [C]
load              of the band          0.8                 [C] ``hotspots``: 0.6
demand_sigma      log-normal           1.0                 [C]
demand_tau        intervals            20                  [C]
interference      of the signal        0.15                [C] ``hotspots``: 0.5
noise             of the signal        0.01                [C] 20 dB
layers            streams              2                   [C]
sub_slots         ms                   100                 [C] one decision per 100 ms
slice_weights                          (1, 1, 1)           [C]
se_weight         1/(bit/s/Hz)         0                   [C]
violation_penalty                      0                   [C]
ssr_target                             0.95                [C]
hotspots          points per slice     0                   [C] ``hotspots``: 1
hotspot_gain      of the demand        6                   [C]
hotspot_width     inter-site distance  1                   [C]
hotspot_tau       intervals            10                  [C]
================= ==================== =================== =====================================

Preset ``hua2019``
------------------
Packets, users and resource blocks one by one, as in the authors' public code for [H] where the
paper leaves a choice. One decision lasts a learning window of 2,000 slots of 0.5 ms, 1 s. In a
cell, 46 users have VoLTE, 46 video and 8 URLLC. Users do not move; cells do not interfere.

*Traffic.* A user's next packet comes one slot and a gap, rounded up to slots, after its last one::

            gap                                  size
    VoLTE   U(0, 160 ms)                         40 B
    video   6 ms (v^(-1/1.2) - 1) <= 12.5 ms     800 bit (v^(-1/1.2) - 1) <= 2000 bit, v ~ U(0, 1)
    URLLC   exponential, mean 180 ms             one of 0.3, 0.4, .. 0.7 MB

A buffer holds 5 packets; one that finds it full is dropped.

*Service.* In each slot a slice's ``floor(b_s / 180 kHz)`` blocks are shared in equal parts among
its users with packets; what is left over goes round robin, one block each. With B Hz a user has the
rate ``R = layers B log2(1 + S / (N0 B))``, S the received power in dBm::

    S = 46 + 20 - 145.4 - 37.5 log10(distance in km) - N(0, 8^2), the last drawn in every slot

Oldest packets go first.

*SLA.* A packet is in time if its latency, whole slots from its arrival to the slot in which its
last bit leaves, is below 10, 10 or 3 ms, and its rate at least 51 kbit/s, 100 Mbit/s or 10 Mbit/s:
size over latency, or R for one that takes one slot. A packet that reaches the latency limit counts
as expired there and then, but stays in its buffer until it is sent. So queued before + arrived =
in time + expired + dropped + queued after, where *queued* are those that can still be in time.

*Observation*: the same 23 numbers; an interval is a window. *spectral_efficiency* is the bits
delivered over W times the window, *backlog* counts all packets in the buffers, expired ones too,
*ssr* has the dropped packets in its denominator, *neighbour_utilisation* is of blocks granted, and
*packets* and *bits* are zero until a window has passed.

*Reward*: ``J = se_weight SE + sum_s slice_weights_s SSR_s`` [H].

Defects of the public code are behind flags, off by default. With all on, one cell and small URLLC
packets (6.4, 12.8, .. 32 kB), equal parts give J = 5.27 and 1, 8, 1 MHz give 7.40; reported are
5.25 and 7.40, to 0.05. A slip in units there, bits taken off a rate when a user sends several
packets in one slot, is not repeated.

===================== ========= ==================== ==========================================
name                  unit      default              source
===================== ========= ==================== ==========================================
rings                 rings     2                    [P]; [H] has one cell, 0
bandwidth_hz          Hz        10e6                 [H]
users                 users     (46, 46, 8)          [H] 100 by lot, 6 : 6 : 1; [C] fixed counts
radius_m              m         40                   [H] users uniform in the disc
min_distance_m        m         1                    [C] nearer users count as this far
power_dbm             dBm       46                   [H]
receive_gain_db       dB        20                   [H]
noise_dbm_hz          dBm/Hz    -174                 [H]
path_loss_1km_db      dB        145.4                [H]
path_loss_slope_db    dB/decade 37.5                 [H]
shadowing_db          dB        8                    [H] independent in every slot
layers                streams   64                   [H]
block_hz              Hz        180e3                [H]
slot_s                s         0.5e-3               [H]
slots                 slots     2000                 [H] one window
buffer                packets   5                    [H]
volte_gap_s           s         0.16                 [H] largest
volte_bits            bit       320                  [H]
video_shape                     1.2                  [H]
video_gap_s           s         (6e-3, 12.5e-3)      [H] scale, largest
video_bits            bit       (800, 2000)          [H] scale, largest
urllc_gap_s           s         0.18                 [H] mean
urllc_bits            bit       (2.4, .., 5.6)e6     [H] or (51200, .., 256000)
sla_rate_bps          bit/s     (51e3, 100e6, 10e6)  [H]
sla_latency_s         s         (10, 10, 3)e-3       [H]
slice_weights                   (1, 1, 1)            [H] beta
se_weight                       0.01                 [H] alpha
pointer_by_number     flag      off                  [H] the round robin takes user numbers from
                                                     the pointer on, active or not, and starts
                                                     anew in every window
offered_efficiency    flag      off                  [H] SE counts the rate offered, not the bits
                                                     delivered
decimal_logarithm     flag      off                  [H] log10 in place of log2
wipe_queues           flag      off                  [H] buffers are emptied after every window
stall_sources         flag      off                  [H] at a full buffer the packet waits
square_drop           flag      off                  [H] users uniform in the square of side 80 m
===================== ========= ==================== ==========================================

Episodes end by truncation only.

Sources: [P] Shao et al., "Graph attention network-based multi-agent reinforcement learning for
slicing resource management in dense cellular network", IEEE Trans. Veh. Technol. 70(10), 2021. [H]
Hua et al., "GAN-powered deep distributional reinforcement learning for resource management in
network slicing", IEEE J. Sel. Areas Commun. 38(2), 2020, and its public code. The fluid model is
ours [C].

Version history: v0, first version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from networld_envs.ns.cells import applied_allocation, neighbour_utilisation
from networld_envs.ns.fluid_types import SLICES, SUB_SLOT_S, Params, State, spectral_efficiency
from networld_envs.ns.packet_types import PacketParams, PacketState
from networld_envs.ns.policies import POLICIES
from networld_envs.ns.task import (
    ABOUT,
    AGENT,
    NAME,
    OBSERVATION,
    PRESETS,
    action_space,
    global_state,
    layout,
    metrics,
    neighbours,
    observation_space,
    observe,
    reset,
    reward,
    spec,
    transition,
)

if TYPE_CHECKING:
    from networld_envs.render.canvas import Canvas

__all__ = [
    "ABOUT",
    "AGENT",
    "NAME",
    "OBSERVATION",
    "POLICIES",
    "PRESETS",
    "SLICES",
    "SUB_SLOT_S",
    "PacketParams",
    "PacketState",
    "Params",
    "State",
    "action_space",
    "applied_allocation",
    "draw",
    "global_state",
    "layout",
    "metrics",
    "neighbour_utilisation",
    "neighbours",
    "observation_space",
    "observe",
    "reset",
    "reward",
    "spec",
    "spectral_efficiency",
    "transition",
]


def draw(canvas: Canvas, params: Any, state: Any) -> None:
    """Draw environment 0 of ``state``; Pillow is imported with the first drawing."""
    from networld_envs.ns import drawing

    drawing.draw(canvas, params, state)
