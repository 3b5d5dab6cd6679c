"""Network slicing in a dense cellular network (task ``ns``).

Every base station (BS) of a hexagonal network splits its band among three slices - voice (VoLTE),
video and URLLC - once per interval of 100 ms. Packets that are not served within their slice's
deadline violate its service level agreement (SLA). Demand drifts, and busy neighbours interfere.

Presets: ``default``; ``hotspots``, the same with bursts that drift across cells; ``urgent``, in
which URLLC weighs four times as much as each other slice; ``hua2019``, the packet-level model of
[H], described at the end; ``hua2019_code``, a single cell of that model as in the authors' public
code, with all its defects and small URLLC packets, for comparison with published values.

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

``A`` and ``H`` are cumulative arrivals and departures. Queues are fluid, are served oldest first,
and carry over between intervals. A packet that arrives in sub-slot t is *in time* if it is served
in sub-slots t .. t+d-1, where ``d`` is its slice's deadline in ms. Otherwise it is *late* and
expires at the end of sub-slot t+d-1. Hence queued before + arrived = in time + expired + queued
after.

Utilisation ``u`` is the share of the BS's band that carried traffic; allocated spectrum with
nothing to send is silent. It sets the interference to the neighbours in the next interval. BSs at
the border have fewer interferers. ``lambda0_s = load share_s W eta(U = min(load, 1)) 1 ms /
packet_bits_s``: at load 1 the mean demand fills the band of a cell whose six neighbours are equally
busy. Above 1 they are fully busy, and the mean demand is ``load`` times that band.

*Hotspots.* Each slice has ``hotspots`` points ``z_h`` that wander over the network. Near them its
demand is multiplied by ``f_s = 1 + gain sum_h exp(-|p_n - z_h|^2 / (2 width^2))``, where ``p_n`` is
the position of the BS and lengths are in inter-site distances. Each coordinate of ``z_h`` is an
AR(1) process like x, with time constant ``hotspot_tau`` and standard deviation
``(rings + 0.5) / 2``. Without hotspots ``f = 1``. With hotspots, ``load`` is the load of a cell far
from all of them.

At reset, ``x`` and ``z`` are drawn from their stationary distributions, queues are empty, the
demand of the last two intervals is known, and every cell has the utilisation ``load`` (at most 1).

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

Reward of an agent: the mean over slices of SSR = in time / (in time + expired), which counts the
packets that were served or expired in the interval. SSR is 1 if there were none. With options::

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
This model simulates individual packets, users and resource blocks. Where the paper [H] leaves a
choice, it follows the authors' public code. One decision lasts for a learning window of 2,000 slots
of 0.5 ms, that is 1 s. A cell has 46 VoLTE, 46 video and 8 URLLC users. Users do not move, and
cells do not interfere.

*Traffic.* A user's next packet arrives one slot plus a gap after the last one. The gap is rounded
up to whole slots::

            gap                                  size
    VoLTE   U(0, 160 ms)                         40 B
    video   6 ms (v^(-1/1.2) - 1) <= 12.5 ms     800 bit (v^(-1/1.2) - 1) <= 2000 bit, v ~ U(0, 1)
    URLLC   exponential, mean 180 ms             one of 0.3, 0.4, .. 0.7 MB

A buffer holds 5 packets. A packet that arrives at a full buffer is dropped.

*Service.* In each slot the ``floor(b_s / 180 kHz)`` blocks of a slice are shared equally among its
users with packets. The remaining blocks are handed out round robin, one each. A user with B Hz has
the rate ``R = layers B log2(1 + S / (N0 B))``, where S is the received power in dBm::

    S = 46 + 20 - 145.4 - 37.5 log10(distance in km) - N(0, 8^2), with N drawn in every slot

Oldest packets are sent first.

*SLA.* A VoLTE, video or URLLC packet is in time if its latency is below 10, 10 or 3 ms and its rate
is at least 51 kbit/s, 100 Mbit/s or 10 Mbit/s. The latency is counted in whole slots, from arrival
to the slot in which the last bit leaves. The rate is size over latency, or R for a packet that
takes one slot. A packet that reaches the latency limit counts as expired at once, but stays in its
buffer until it is sent. Hence queued before + arrived = in time + expired + dropped + queued after,
where *queued* counts the packets that can still be in time.

*Observation*: the same 23 numbers, with a window as the interval. *spectral_efficiency* is the
number of bits delivered, divided by W and the duration of the window. *backlog* counts all packets
in the buffers, including expired ones. The denominator of *ssr* includes dropped packets.
*neighbour_utilisation* is computed from granted blocks. *packets* and *bits* are zero until the
first window has passed.

*Reward*: ``J = se_weight SE + sum_s slice_weights_s SSR_s`` [H].

Flags turn on the defects of the public code; all are off by default. Preset ``hua2019_code`` turns
all of them on, for one cell and small URLLC packets (6.4, 12.8, .. 32 kB). It reproduces the
published J of equal parts and of 1, 8 and 1 MHz. One error of the public code is not reproduced: it
subtracts bits from a rate when a user sends several packets in one slot.

===================== ========= ==================== ==========================================
name                  unit      default              source
===================== ========= ==================== ==========================================
rings                 rings     2                    [P]; [H] has one cell, 0
bandwidth_hz          Hz        10e6                 [H]
users                 users     (46, 46, 8)          [H] 100 drawn at 6 : 6 : 1; [C] fixed
radius_m              m         40                   [H] users uniform in the disc
min_distance_m        m         1                    [C] nearer users count as this far away
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
pointer_by_number     flag      off                  [H] the round robin counts user numbers from
                                                     its pointer on, active or not, and restarts
                                                     in every window
offered_efficiency    flag      off                  [H] SE counts the rate offered, not the bits
                                                     delivered
decimal_logarithm     flag      off                  [H] log10 in place of log2
wipe_queues           flag      off                  [H] buffers are emptied after every window
stall_sources         flag      off                  [H] a packet waits while the buffer is full
square_drop           flag      off                  [H] users uniform in the square of side 80 m
===================== ========= ==================== ==========================================

``LIMITS`` of `Params` and `PacketParams` lists the range of every number, and
``help(networld_envs.ns_v0.parallel_env)`` shows it. No network may have an array of more than 20
million numbers.

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
    """Draw environment 0 of ``state``. The first call imports Pillow."""
    from networld_envs.ns import drawing

    drawing.draw(canvas, params, state)
