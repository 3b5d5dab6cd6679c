"""Coordinated beamforming (CBF) in a MISO downlink.

Nineteen hexagonal cells share one channel. Each base station (the agent) has a linear array and
serves one single-antenna user. Its signal also reaches the users of other cells as interference. In
every 20 ms slot it chooses a transmit beamformer, based on its own measurements and on the reports
of its 1-hop neighbours. Source: J. Ge, Y.-C. Liang, J. Joung, S. Sun, "Deep reinforcement learning
for distributed dynamic MISO downlink-beamforming coordination", IEEE Trans. Commun. 68(10), 2020.
``[P]`` marks values from that paper, ``[C]`` our own choices.

Model
-----
Channel from base station j to user k, over ``L`` paths (Eqs. 2-4 of the paper)::

    h_jk = sqrt(beta_jk / L) A_jk g_jk        A_jk = [a(phi_1) .. a(phi_L)]
    a(phi) = [1, e^{j pi cos phi}, ..., e^{j (n-1) pi cos phi}]
    g_jk <- rho g_jk + sqrt(1 - rho^2) e      e ~ CN(0, I)

Gains include the ratio of transmit power to noise power, so noise is 1 and ``|w_k| <= 1``. The rate
is ``C_k = log2(1 + |h_kk^H w_k|^2 / (sum_{j != k} |h_jk^H w_j|^2 + 1))`` in bit/s/Hz.

*Slot.* At the start of slot t the users measure the fading of slot t under the beamformers of slot
t-1. The measurements and the neighbours' reports form the observation. The agents then choose
``w(t)`` and transmit, which gives the reward.

*Neighbours* of base station k are the base stations of the ``U`` users of other cells to which k
has the largest large-scale gain. The relation is not symmetric. It is fixed within an episode.

*Own frame.* A linear array is shift invariant: no inner product changes when the channels and
beamformers of base station k are multiplied by ``diag(e^{-j n psi})``, where psi is the electrical
angle ``pi cos(phi)`` of its own user. All observations and actions of an agent are in this frame:
its own user is at angle zero, and the matched beamformer (MRT) is the constant vector. The phase of
a beamformer has no effect either. The applied beamformer is rotated until the sum of its entries is
real and non-negative.

Observation ``angle`` (default), ``2n + 5 + 6U`` values (49)
-----------------------------------------------------------
==================  =================================================  ==========
index               value                                              unit
==================  =================================================  ==========
0                   gain to its own user                               dB / 10
1                   sum of gains to users not listed below             dB / 10
2 .. 3U+1           per listed user: gain, cos and sin of its          dB / 10, 1
                    electrical angle
3U+2, 3U+3, 3U+4    own rate, own interference plus noise, own power   bit/s/Hz, dB / 10, 1
3U+5 .. 3U+2n+4     last beamformer as applied: real parts, then       1
                    imaginary parts
3U+2n+5 ..          per neighbour, as reported by it: rate,            bit/s/Hz, dB / 10,
                    interference plus noise, gain to its own user      dB / 10
==================  =================================================  ==========

Gains below -40 dB are shown as -40 dB. The entries of an empty neighbour slot are zero.

Observation ``csi``, ``4n + 5 + (4 + 2n) U`` values (93)
--------------------------------------------------------
Shows the channels of this slot in place of large-scale gains and angles. It begins with the
station's own user's ``|h|^2`` (dB / 10), the sum of gains to users not listed, and that user's
``h / |h|`` in the station's own frame, with canonical phase: real parts, then imaginary parts. The
``1 + 2n`` values ``|h|^2`` and ``h / |h|`` of each listed user follow. The rest is as in ``angle``,
but the reported gain is ``|h|^2`` as well.

Observation ``ge2020``, ``7 + 11U`` values (62 with the paper's U = 5)
---------------------------------------------------------------------
==================  =================================================  ==========
index               value                                              unit
==================  =================================================  ==========
0, 1, 2             last power, last codeword, last rate               of P, index, 5 bit/s/Hz
3, 4                gain ``|h^H c|^2`` of this slot's channel with     1e-9
                    the last codeword, and the same one slot before
5, 6                interference plus noise measured with each         1e-7 mW
7 .. 4U+6           the U strongest interferers of the last slot:      1, 1e-9 mW, index,
                    cell / (K-1), received power, codeword, rate       5 bit/s/Hz
4U+7 .. 8U+6        the same for the slot before                       likewise
8U+7 .. 11U+6       the U users that received most from this station   1e-9, 5 bit/s/Hz, 1
                    in the last slot: gain, rate, its share of their
                    interference plus noise
==================  =================================================  ==========

Both sets are ranked by received power again in every slot. The neighbour table stays fixed.

Action
------
``box``: ``Box(-1, 1, (2n,))``, the real parts of the beamformer in its own frame, then its
imaginary parts. It is projected to ``|w| <= 1`` and made phase-canonical; the result is in
``info["beamformer"]`` and in the next observation.

``codebook``: ``Discrete(V Q)``, codeword ``a // V`` at power ``(a % V) / (V - 1)``. The phases of
the codebook are multiples of a sixteenth of a turn, see `networld_envs.cbf.ge2020.codebook`. With
observation ``ge2020`` its beams are fixed in space [P]. With the other observations they are in the
own frame [C].

Reward
------
Own rate minus the loss it causes (Ge et al., Eq. 13)::

    r_k = C_k - sum_{j in neighbours(k)} [log2(1 + S_j / (IN_j - I_kj)) - C_j]

If all other cells are neighbours, this is the difference reward: the sum rate minus what the sum
rate would be if cell k were silent.

In presets ``ge2020`` and ``ge2020_box`` the sum is over the U users that received most power from
cell k in that slot.

Precision
---------
Fading, path angles and beams are stored in single precision; gains, powers and rates in double
precision. The error of a received power is about 1e-6 of the largest power possible on that link.
The simulation does not compute channels, but ``w^H h = sqrt(beta / L) sum_l g_l (w^H a(phi_l))``.

Many cells
----------
With ``max_links = D`` a user has links only to its own base station and to the ``D - 1`` others
that it receives most strongly. These are chosen from about ``4 D`` cells around the user, so no
``K x K`` array is needed. The mean power of all other base stations, transmitting at full power, is
added to the noise. For base stations beyond the candidates the mean is also taken over shadowing.

Parameters
----------

================== =============== ========= ===================================================
name               unit            default   source
================== =============== ========= ===================================================
rings              rings           2         [P] 0, 1, 2 rings around the centre: 1, 7, 19 cells
antennas           elements ``n``  4         [C]; [P] 3
neighbours         users ``U``     6         [C] listed users of other cells; [P] 5
inter_site_m       m               400       [P]
min_distance_m     m               10        [P] of a user from its base station
max_distance_m     m               200       [P]
power_dbm          dBm             38        [P] largest transmit power
noise_dbm          dBm             -114      [P]
path_loss_1km_db   dB              120.9     [P]
path_loss_slope_db dB/decade       37.6      [P]
shadowing_db       dB              8         [P] standard deviation, log-normal
paths              paths ``L``     4         [P]
angular_spread_deg degrees         3         [P] total width of the cone of path angles
correlation        of the fading   0.64      [P] rho, from slot to slot
observation                        angle     [C] or ``csi``, ``ge2020`` [P]
action                             box       [C] or ``codebook`` [P]
power_levels       levels ``V``    5         [P] of the codebook action: 0, 1/(V-1), .., 1
codewords          beams ``Q``     8         [P] of the codebook action
reward_set                         gain      [C] the listed users, or ``power`` [P]: those that
                                             received most from the base station in that slot
wrap_around        flag            off       [C] joins the borders, so that every cell has six
                                             adjacent cells
user_speed_mps     m/s             0         [C] of the users: straight ahead, reflected at the
                                             edges of the ring around their base station
slot_s             s               0.02      [P] only matters for moving users
sinr_cap_db        dB              none      [C] largest useful ratio of signal to interference
                                             plus noise, as set by the highest modulation
max_links          stations ``D``  none      [C] see *Many cells*; none means all; use 32 for 100
                                             or more cells
================== =============== ========= ===================================================

``LIMITS`` of `Params` lists the range of every number, and
``help(networld_envs.cbf_v0.parallel_env)`` shows it. A link's largest power over noise is limited
to 300 dB, and users nearer than ``min_distance_m`` to another base station count as that far away.

Presets: ``default``; ``ge2020``, the setting of the paper; ``ge2020_box``, the same network with
continuous beamformers, for which the paper gives figures; ``large``, 1,027 cells with 32 links per
user; ``dense``, cells 250 m apart and an angular spread of 10 degrees; ``antennas2`` and
``antennas8``. Episodes end by truncation only.

Where the authors' public code departs from the paper, this task follows the paper: path angles lie
on both sides of the line of sight, the innovation of the fading keeps its variance, and inner
products are ``h^H w``, not ``h^T w``. In addition, steering vectors have norm ``sqrt(n)``, not 1.

Version history
---------------
* v0: first version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from networld_envs.cbf.policies import POLICIES
from networld_envs.cbf.task import (
    ABOUT,
    AGENT,
    NAME,
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
from networld_envs.cbf.transmission import applied_beamformer
from networld_envs.cbf.types import Params, State

if TYPE_CHECKING:
    from networld_envs.render.canvas import Canvas

__all__ = [
    "ABOUT",
    "AGENT",
    "NAME",
    "POLICIES",
    "PRESETS",
    "Params",
    "State",
    "action_space",
    "applied_beamformer",
    "draw",
    "global_state",
    "layout",
    "metrics",
    "neighbours",
    "observation_space",
    "observe",
    "reset",
    "reward",
    "spec",
    "transition",
]


def draw(canvas: Canvas, params: Any, state: Any) -> None:
    """Draw environment 0 of ``state``. The first call imports Pillow."""
    from networld_envs.cbf import drawing

    drawing.draw(canvas, params, state)
