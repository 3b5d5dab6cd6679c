"""Resource-block scheduling in clustered ad hoc networks, MF-TDMA medium access (task ``rb``).

Nodes form clusters. Each frame (one step, 20 ms) every node asks its cluster head for resource
blocks (RBs) out of the ``channels x slots`` of the frame. Clusters whose heads are close use the
same spectrum without a common scheduler, so the blocks that one cluster occupies can destroy the
transmissions of its neighbours. From their own and their neighbours' reports, the nodes must work
out who should transmit and when. They all share the cost of long queues.

Model
-----
In frame t node i of cluster c requests ``x_i`` RBs. With ``F = channels * slots``::

    g_i   = x_i, scaled down with largest remainders where a cluster's requests exceed F
    u_c   = sum of g_i in c / F                                      cluster load
    p_c   = prod over conflicting clusters c' of (1 - kappa u_c')    success probability
    S_i   ~ Binomial(min(g_i, q_i), p_c)                             packets served; 1 RB each
    m_c   changes state with probability burst_flip                  cluster burst, 2 states
    a_i   ~ Poisson(rho F w_i m_c)                                   arrivals
    q_i  <- min(q_i - S_i + a_i, buffer); the excess d_i is dropped

``w_i`` are log-normal and sum to 1 in a cluster; ``m_c`` is ``burst_low`` or ``burst_high``.
Ties between equal remainders are broken at random. At reset each burst starts in either state with
equal probability. Cluster c starts with backlogs ``floor(s_c U_i)``, where ``s_c ~ U(0, 1)`` and
``U_i ~ U(0, initial_backlog + 1)``.

Every node belongs to one cluster: there are no gateways. ``topology`` determines which clusters are
in conflict:

* ``random``: heads are uniform in the unit square and in conflict when closer than
  ``conflict_radius``. The graph is drawn again until it is connected and not bipartite. For small
  numbers of clusters. If no draw is, the last one is completed: by the shortest links that join all
  clusters and close a cycle of odd length.
* ``bounded``: the same for any number of clusters. The sides of the square grow as
  ``sqrt(num_clusters / 6)`` in units of ``conflict_radius``, no cluster has more than
  ``max_degree`` conflicts, and separate parts are joined by their shortest links
  (`networld_envs.physics.graphs.bounded_conflict_graph`).
* ``ring``: each cluster conflicts with the next and the previous one.
* ``edges``: the given list of pairs of clusters.

Observation (8 numbers, raw packet counts)
------------------------------------------

===== ================ ======================================================== ================
index name             meaning                                                  range
===== ================ ======================================================== ================
0     arrivals         packets that arrived in the last frame                   [0, inf)
1     queue            packets waiting                                          [0, buffer]
2     grant            RBs granted in the last frame                            [0, F]
3     served           packets served in the last frame                         [0, F]
4     cluster_backlog  packets waiting in its own cluster (the head's beacon)   [0, K buffer]
5     cluster_load     share of the last frame its own cluster occupied         [0, 1]
6     success_ratio    served / sent in the last frame, 0 when nothing was sent [0, 1]
7     request          RBs requested in the last frame: the last action         [0, F]
===== ================ ======================================================== ================

Observation ``cdmp`` has only arrivals and queue (2 numbers), as in the planner of [P]. It has no
beacon, and the last action is not observed.

Action: ``Discrete(F + 1)``, the number of RBs requested, an ordered integer.

Neighbours: the nodes of conflicting clusters, fixed within an episode. The own cluster is not
listed, since the beacon covers it. In ``cdmp``, which has no beacon, the other nodes of its own
cluster come first. Agent ``i`` is node ``i % K`` of cluster ``i // K``, ``K = nodes_per_cluster``.

Reward of an agent::

    r_i = -queue_cost q_i - drop_cost d_i - unused_cost max(g_i - q_i(before), 0)

Parameters
----------

================== =============== ========= ===================================================
name               unit            default   source
================== =============== ========= ===================================================
num_clusters       clusters        6         [P] 24 nodes
nodes_per_cluster  nodes           4         [P] 24 nodes
channels           channels        4         [P]
slots              slots           10        [P]
topology                           random    [C] or ``bounded``, ``ring``, ``edges``
edges              pairs           none      [C] conflicting clusters, for ``edges``
conflict_radius    sides of square 0.5       [C] mean degree 2.9
max_degree         clusters        none      [C] none: ``num_clusters - 1``; ring 2,
                                             bounded 6, edges: the graph's
conflict           probability     0.7       [C] kappa
buffer             packets         50        [C]
load               of F            0.17      [C] rho, mean arrivals per cluster and frame
weight_sigma       log-normal      0.5       [C]
burst_low          of the mean     0.2       [C]
burst_high         of the mean     1.8       [C]
burst_flip         probability     0.06      [C]
initial_backlog    packets         25        [C]
observation                        beacon    [C] or ``cdmp`` [P]
queue_cost         1/packet        0.1       [C]
drop_cost          1/packet        0.5       [C]
unused_cost        1/RB            0.01      [C]
================== =============== ========= ===================================================

``LIMITS`` of `Params` lists the range of every number, and
``help(networld_envs.rb_v0.parallel_env)`` shows it. The neighbour table has at most 20 million
entries.

Episodes end by truncation only. Presets: ``default``; ``cdmp``, with the observation of [P];
``ring6``, six clusters on a ring at load 0.20; ``busy``, at twice the load; ``nodes12`` (3
clusters), ``nodes96`` (24) and ``nodes1000`` (250) of bounded degree.

Sources: [P] Meng et al., "Conditional diffusion model with OOD mitigation as high-dimensional
offline resource allocation planner in clustered ad hoc networks", IEEE Trans. Commun. 73(12),
2025, for the frame and the number of nodes; the multi-agent model is ours [C].

Version history: v0, first version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from networld_envs.rb.policies import POLICIES
from networld_envs.rb.task import (
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
from networld_envs.rb.types import OBSERVATION, Params, State

if TYPE_CHECKING:
    from networld_envs.render.canvas import Canvas

__all__ = [
    "ABOUT",
    "AGENT",
    "NAME",
    "OBSERVATION",
    "POLICIES",
    "PRESETS",
    "Params",
    "State",
    "action_space",
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
    from networld_envs.rb import drawing

    drawing.draw(canvas, params, state)
