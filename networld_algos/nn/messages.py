"""Messages between neighbours: which ones an agent receives, and how it combines them.

A neighbourhood is summed up by an f-mean (Kolmogorov, 1930) of one vector from each 1-hop
neighbour: ``f^-1(mean_j f(x_j))``. The arithmetic mean is the mean field of Yang et al. (2018).
With ``f(x) = exp(beta x)`` the f-mean lies between the mean and the maximum::

    L_i(x) = (1 / beta) log mean_j exp(beta x_j)          beta: one learned number per channel

An f-mean needs no names, has the same size for any number of neighbours, and costs the same bytes.
Many decisions are comparisons: on RB an agent transmits if its backlog is the largest around. No
arithmetic mean can say that, but the difference ``x_i - L_i(x)`` does.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from networld_algos.base import Carry
from networld_algos.data.neighbours import gather_neighbours, mean_over_neighbours
from networld_algos.nn.random import uniform

MESSAGE_MAX_AGE = 0
"""Steps for which a neighbour's last message replaces lost ones, by default: none.

An old message can be worse than none. On RB it says whose turn it was (`docs/tried.md`)."""

MESSAGE_WIDTH = 64
"""Floats in a learned message, by default, and the most in a message of features: 256 bytes."""

Aggregate = Literal["mean", "softmax", "difference"]

AGGREGATES: tuple[str, ...] = get_args(Aggregate)

FIRST_BETA, MAX_BETA = 4.0, 50.0
NEVER = -1e9  # stands for minus infinity, whose gradient would not be a number
DEEPEST = 700.0  # exp(-700) is the order of the smallest double


def features_sent(width: int, task: str) -> int:
    """Channels of a message of features, which are all ``width`` of them.

    Raises:
        ValueError: If they are more than `MESSAGE_WIDTH`.
    """
    if width > MESSAGE_WIDTH:
        raise ValueError(
            f"message='features' would send {4 * width} bytes per step on task {task!r}, more than "
            f"{4 * MESSAGE_WIDTH}; send message='learned', or take fewer features: "
            "features='symlog', or entities='shared' if the task lists entities"
        )
    return width


class MeanField(nn.Module):
    """Combines messages x_j ``(..., M)`` of the neighbours of an agent that would send x_i.

    ================  =========================================================================
    ``"mean"``        arithmetic mean of every channel
    ``"softmax"``     arithmetic mean of the first half, L of the second half
    ``"difference"``  arithmetic mean of the first half, ``x_i - L`` of the second half
    ================  =========================================================================

    Args:
        width: Channels ``M`` of a message.
        aggregate: See the table.
        extremes: The message is fixed features rather than learned channels. Then every channel is
            combined three times: by its mean, by L, and by ``-L(-x)``, which is near the minimum.
        out: Map the result to this many channels by a linear layer; None leaves it as it is.

    Attributes:
        width: Channels of the result.
    """

    def __init__(
        self,
        width: int,
        aggregate: Aggregate,
        *,
        extremes: bool = False,
        out: int | None = None,
    ) -> None:
        super().__init__()
        self.aggregate = aggregate
        self.extremes = extremes and aggregate != "mean"
        self.averaged = width if aggregate == "mean" or self.extremes else width // 2
        combined = 3 * width if self.extremes else width
        self.log_beta = None
        if aggregate != "mean":
            first = torch.full((combined - self.averaged,), math.log(FIRST_BETA))
            self.log_beta = nn.Parameter(first)
        self.project = nn.Identity() if out is None else nn.Linear(combined, out)
        self.width = combined if out is None else out

    def forward(self, own: Tensor, held: Tensor, usable: Tensor | None) -> tuple[Tensor, Tensor]:
        """Combine messages that an agent holds.

        Args:
            own: ``(..., M)`` what the receiver would send.
            held: ``(..., D, M)`` one message per slot.
            usable: ``(..., D)`` 1.0 where the slot has a message. None if every slot has one.

        Returns:
            ``(..., width)``, the same for all agents without messages, and ``(..., 1)``, 1.0 where
            there is at least one.
        """
        averaged, compared = self._parts(held)
        mean, present = _mean_of_held(averaged, usable)
        if compared is not None:
            level = self._level(compared, usable)
            _, mine = self._parts(own)
            assert mine is not None
            seen = self._from(mine, level, present > 0)
            mean = torch.cat([mean, seen], dim=-1)
        return self.project(mean), present

    def of_team(self, messages: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
        """Combine the messages that all agents of a team send at the same time.

        Args:
            messages: ``(..., N, M)``.
            neighbours: ``(..., N, D)`` int64, padded with -1, the same leading axes.

        Returns:
            ``(..., N, width)`` and ``(..., N, 1)`` as `forward`.
        """
        averaged, compared = self._parts(messages)
        mean, present = mean_over_neighbours(averaged, neighbours)
        if compared is not None:
            mean = torch.cat([mean, self._compare_team(compared, neighbours)], dim=-1)
        return self.project(mean), present

    def of_picked(
        self,
        sent: Tensor,
        senders: Tensor,
        grid: tuple[int, int],
        receivers: Tensor,
        neighbours: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """`of_team` for some agents of several teams, from the messages of some of them.

        Args:
            sent: ``(U, T, M)`` messages of the receivers and of their neighbours.
            senders: ``(U,)`` their positions among all agents, ordered by team; ascending.
            grid: Number ``B`` of teams and number ``N`` of agents in each.
            receivers: ``(S,)`` positions of the receivers, each of them once.
            neighbours: ``(S, D)`` their neighbours in the team, int64, padded with -1.

        Returns:
            ``(S, T, width)`` and ``(S, T, 1)`` as `forward`.
        """
        (b, n), (_, t, _) = grid, sent.shape
        team = receivers // n
        # The receivers of a team are the rows of its adjacency matrix, in any order.
        rank = (team[:, None] == team[None, :]).tril(-1).sum(1)
        near = (neighbours >= 0).to(sent.dtype)
        table = sent.new_zeros(len(team), n).scatter_add_(1, neighbours.clamp(min=0), near)
        adjacency = sent.new_zeros(b, 1 + int(rank.max()) if len(rank) else 1, n)
        adjacency[team, rank] = table
        count = table.sum(1).clamp(min=1.0)[:, None, None]
        present = (table.sum(1) > 0)[:, None, None].expand(-1, t, 1)

        def mean(values: Tensor) -> Tensor:
            """Mean ``(S, T, C)`` over neighbours of ``(U, T, C)``."""
            flat = values.flatten(1)
            full = flat.new_zeros(b * n, flat.shape[1]).index_copy(0, senders, flat)
            near = (adjacency.to(flat.dtype) @ full.view(b, n, -1)).flatten(0, 1)
            of = near.index_select(0, team * adjacency.shape[1] + rank)
            return of.view(len(team), t, values.shape[-1]) / count

        averaged, own = self._parts(sent)
        combined = mean(averaged)
        if own is not None:
            beta = self._beta()
            scaled = beta * own
            flat = scaled.detach().flatten(1)
            full = flat.new_full((b * n, flat.shape[1]), NEVER).index_copy(0, senders, flat)
            top = full.view(b, n, *own.shape[1:]).amax(1).double()  # of each team
            powers = (scaled.double() - top[senders // n]).clamp(min=-DEEPEST).exp()
            level = torch.where(present, mean(powers), 1.0).log() + top[team]
            of = own.index_select(0, torch.searchsorted(senders, receivers))
            seen = self._from(of, level.to(own.dtype) / beta, present)
            combined = torch.cat([combined, seen], dim=-1)
        return self.project(combined), present.to(sent.dtype)

    def _parts(self, messages: Tensor) -> tuple[Tensor, Tensor | None]:
        """The channels that are averaged, and those that L is taken of."""
        if self.log_beta is None:
            return messages, None
        if self.extremes:
            return messages, torch.cat([messages, -messages], dim=-1)
        averaged, compared = messages.split([self.averaged, len(self.log_beta)], dim=-1)
        return averaged, compared

    def _level(self, held: Tensor, usable: Tensor | None) -> Tensor:
        """L of the compared channels ``(..., D, C)`` of the messages that an agent holds."""
        beta = self._beta()
        scaled = beta * held
        if usable is None:
            return (torch.logsumexp(scaled, dim=-2) - math.log(held.shape[-2])) / beta
        count = usable.sum(-1, keepdim=True)
        scaled = scaled.masked_fill(usable.unsqueeze(-1) == 0, NEVER)
        return (torch.logsumexp(scaled, dim=-2) - count.clamp(min=1.0).log()) / beta

    def _compare_team(self, own: Tensor, neighbours: Tensor) -> Tensor:
        """`_level` seen `_from` its own, with one exponential for each sender, not for each pair.

        Double precision holds the exponentials of all values within `DEEPEST` / beta of the team's
        largest; a lower one counts as that.
        """
        beta = self._beta()
        scaled = (beta * own).double()
        top = scaled.detach().amax(-2, keepdim=True)
        powers = (scaled - top).clamp(min=-DEEPEST).exp()
        mean, present = mean_over_neighbours(powers, neighbours)
        high = (torch.where(present > 0, mean, 1.0).log() + top).to(own.dtype) / beta
        return self._from(own, high, present > 0)

    def _beta(self) -> Tensor:
        assert self.log_beta is not None
        return self.log_beta.exp().clamp(max=MAX_BETA)

    def _from(self, own: Tensor, high: Tensor, present: Tensor) -> Tensor:
        """L, or the own value less L; zero without messages."""
        result = own - high if self.aggregate == "difference" else high
        return torch.where(present, result, 0.0)


def _mean_of_held(held: Tensor, usable: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean ``(..., M)`` of usable messages ``(..., D, M)``, and whether there are any."""
    if usable is None:
        return held.sum(-2) / held.shape[-2], held.new_ones(*held.shape[:-2], 1)
    count = usable.sum(-1, keepdim=True)
    mean = (held * usable.unsqueeze(-1)).sum(-2) / count.clamp(min=1.0)
    return mean, (count > 0).to(held.dtype)


def drop_messages(neighbours: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The neighbour table ``(B, N, D)`` of a batch, with a share of its messages lost at random.

    A model that is trained with losses depends less on any single message.

    Args:
        neighbours: int64, padded with -1; not changed in place.
        share: Probability that a message is lost.
        generator: Source of randomness.
    """
    if share == 0.0:
        return neighbours
    lost = uniform(neighbours.shape, generator, neighbours.device) < share
    return torch.where(lost, -1, neighbours)


def collect(
    messages: Tensor, neighbours: Tensor, carry: Carry, max_age: int
) -> tuple[Tensor, Tensor, Carry]:
    """The messages that agents hold now; a lost one is replaced by the last from its slot.

    A slot of the neighbour table that was filled before and is -1 now is a lost message. Its last
    value is used for at most ``max_age`` steps. A slot that was never filled is ignored.
    The neighbour table must not reorder its slots within an episode.

    If the carry has ``"delay"`` (`networld_algos.base.Carry`), messages arrive that many steps
    after they were sent. The entry ``"in_flight"`` holds those under way. Nothing arrives in the
    first ``"delay"`` steps.

    An agent whose neighbours are elsewhere has the entry ``"inbox"``: messages ``(E, N, D, M)`` and
    1.0 where one is usable ``(E, N, D)``. They are returned as they are, and the next carry says
    that they were used: its ``"inbox"`` is None.

    Args:
        messages: ``(E, N, M)`` messages sent now.
        neighbours: ``(E, N, D)`` int64, -1 for none or lost.
        carry: History of the receiving agents.
        max_age: Steps for which a message is used; with 0, only those that arrive now are.

    Returns:
        Messages ``(E, N, D, M)``, 1.0 where one is usable ``(E, N, D)``, and the entries ``held``
        ``(E, N, D, M)`` and ``age`` ``(E, N, D)`` of the next carry.
    """
    if (inbox := carry.get("inbox")) is not None:
        return *inbox, {"inbox": None}
    arrived = neighbours >= 0
    memory: Carry = {}
    if delay := carry.get("delay", 0):
        in_flight = (*carry.get("in_flight", ()), messages)  # oldest first, each (E, N, M)
        memory["in_flight"] = in_flight[-delay:]
        messages = in_flight[0]
        if len(in_flight) <= delay:
            arrived = torch.zeros_like(arrived)
    held = torch.where(arrived.unsqueeze(-1), gather_neighbours(messages, neighbours), 0.0)
    age = torch.where(arrived, 0, max_age + 1)
    if "held" in carry:
        held = torch.where(arrived.unsqueeze(-1), held, carry["held"])
        age = torch.where(arrived, 0, (carry["age"] + 1).clamp(max=max_age + 1))
    usable = (age <= max_age).to(messages.dtype)
    return held, usable, {**memory, "held": held, "age": age}
