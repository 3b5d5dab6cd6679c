"""The Decision Transformer's network: causal attention, with a cache for acting step by step.

Pre-norm blocks as in GPT-2 (Radford et al., 2019), with the ReLU of the Decision Transformer (Chen
et al., 2021)::

    x <- x + proj(attention(norm1(x)))
    x <- x + mlp(norm2(x))

A token attends to itself and to earlier tokens. Padding after the last real token is therefore
never seen and needs no mask.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networld_algos.nn.action_head import ActionHead
from networld_envs.spec import TaskSpec

Past = tuple[Tensor, Tensor]
"""Keys and values ``(rows, heads, tokens, width / heads)`` of the tokens so far."""

LEVELS = 1 << 16  # of the random 16-bit integers that decide what is dropped


def dropout(x: Tensor, probability: float) -> Tensor:
    """Dropout, drawn from torch's global generator with a quarter of the random numbers.

    One 64-bit integer decides on four entries. The probability is rounded to 1 / `LEVELS`.
    """
    dropped = round(probability * LEVELS)
    if dropped == 0:
        return x
    count = -(-x.numel() // 4)
    drawn = torch.empty(count, dtype=torch.int64, device=x.device).random_(-(2**63), None)
    level = drawn.view(torch.int16)[: x.numel()].view(x.shape)
    return x * (level >= dropped - LEVELS // 2).to(x.dtype).mul_(LEVELS / (LEVELS - dropped))


class Block(nn.Module):
    """Attention and an MLP, each added to its input."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width)
        )

    def forward(
        self, x: Tensor, past: Past | None, first: int, stride: int, drop: bool
    ) -> tuple[Tensor, Past]:
        """Outputs at tokens ``first, first + stride, ..`` of ``x`` ``(rows, tokens, width)``.

        Args:
            x: New tokens.
            past: Keys and values of earlier tokens.
            first: First new token whose output is wanted.
            stride: Distance to the next such token.
            drop: Apply dropout.
        """
        rows, count, width = x.shape
        share = self.dropout if drop else 0.0
        q, k, v = (
            part.view(rows, count, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).chunk(3, dim=-1)
        )
        before = 0
        if past is not None:
            before = past[0].shape[2]
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        seen = torch.ones(count, before + count, dtype=torch.bool, device=x.device).tril(before)
        mixed = _attention(q[:, :, first::stride], k, v, seen[first::stride], share)
        mixed = self.proj(mixed.transpose(1, 2).reshape(rows, -1, width))
        x = x[:, first::stride] + dropout(mixed, share)
        return x + dropout(self.mlp(self.norm2(x)), share), (k, v)


def _attention(q: Tensor, k: Tensor, v: Tensor, seen: Tensor, share: float) -> Tensor:
    """Scaled dot-product attention with dropout of a share of its weights.

    A gradient through a few tokens is much faster on a CPU as two products than through torch's
    fused attention, which is for long sequences.
    """
    if share == 0.0 and not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
    mask = torch.zeros(seen.shape, dtype=q.dtype, device=q.device).masked_fill(~seen, -torch.inf)
    rows, heads, tokens, width = q.shape
    q, k, v = (part.flatten(0, 1) for part in (q, k, v))
    scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=width**-0.5)
    return (dropout(scores.softmax(-1), share) @ v).view(rows, heads, tokens, width)


class CausalTransformer(nn.Module):
    """Blocks and a final LayerNorm.

    Args:
        width: Width of a token.
        layers: Number of blocks.
        heads: Attention heads; divides ``width``.
        dropout: Dropout probability of attention weights and of both branches of a block.
    """

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        x: Tensor,
        past: list[Past] | None = None,
        *,
        first: int = 0,
        stride: int = 1,
        drop: bool = False,
    ) -> tuple[Tensor, list[Past]]:
        """Outputs ``(rows, wanted, width)``, and the keys and values of all tokens by block.

        Args:
            x: New tokens ``(rows, tokens, width)``.
            past: Keys and values of earlier tokens, from the previous call.
            first: First new token whose output is wanted; other tokens are only attended to.
            stride: Distance to the next such token.
            drop: Apply dropout, drawn from torch's global generator.
        """
        kept: list[Past] = []
        for i, block in enumerate(self.blocks):
            last = i == len(self.blocks) - 1
            x, pair = block(
                x,
                None if past is None else past[i],
                first if last else 0,
                stride if last else 1,
                drop,
            )
            kept.append(pair)
        return self.norm(x), kept


class DecisionTransformer(nn.Module):
    """Embeddings, a causal transformer, and a head read at the state tokens.

    The tokens of a step are return-to-go, state and action. An embedding is the sum of a linear
    embedding of the content and a learned embedding of the time step, followed by a LayerNorm.

    Args:
        inputs: Width ``F`` of a state.
        spec: The task.
        hidden: Width of a token.
        layers: Number of blocks.
        heads: Attention heads.
        dropout: Dropout probability of embeddings and in each block.
        max_steps: Number of time steps that have an embedding.
        action_tokens: Whether the model sees past actions.
        bins: Bins per column of a box action. None gives one linear output per column.
    """

    def __init__(
        self,
        inputs: int,
        spec: TaskSpec,
        *,
        hidden: int,
        layers: int,
        heads: int,
        dropout: float,
        max_steps: int,
        action_tokens: bool,
        bins: int | None,
    ) -> None:
        super().__init__()
        self.box, self.dropout = spec.action_kind == "box", dropout
        self.tokens = 3 if action_tokens else 2  # per step
        self.time = nn.Embedding(max_steps, hidden)
        self.return_to_go = nn.Linear(1, hidden)
        self.state = nn.Linear(inputs, hidden)
        self.action: nn.Module | None = None
        if action_tokens:
            self.action = (
                nn.Linear(spec.action_dim, hidden)
                if self.box
                else nn.Embedding(spec.num_choices, hidden)
            )
        self.norm = nn.LayerNorm(hidden)
        self.body = CausalTransformer(hidden, layers, heads, dropout)
        self.head = (
            nn.Linear(hidden, spec.action_dim)
            if bins is None and self.box
            else ActionHead(spec, hidden, bins or 2)
        )
        self.apply(_initialise)

    def embed(self, returns: Tensor, states: Tensor, actions: Tensor, times: Tensor) -> Tensor:
        """Tokens ``(S, tokens * T, hidden)``, ordered by step.

        Args:
            returns: ``(S, T)`` standardised returns-to-go.
            states: ``(S, T, F)``.
            actions: ``(S, T, A)`` scaled or ``(S, T)`` int64.
            times: ``(S, T)`` int64.
        """
        time = self.time(times)
        parts = [self.return_to_go(returns.unsqueeze(-1)) + time, self.state(states) + time]
        if self.action is not None:
            parts.append(self.action(actions) + time)
        return self.norm(torch.stack(parts, dim=2).flatten(1, 2))

    def forward(
        self,
        returns: Tensor,
        states: Tensor,
        actions: Tensor,
        times: Tensor,
        *,
        drop: bool = False,
    ) -> Tensor:
        """Output ``(S, T, ..)`` of the head at each state token; for arguments see `embed`."""
        x = self.embed(returns, states, actions, times)
        x = dropout(x, self.dropout if drop else 0.0)
        return self.head(self.body(x, first=1, stride=self.tokens, drop=drop)[0])


def _initialise(module: nn.Module) -> None:
    """Initial weights of GPT-2: normal with standard deviation 0.02, and zero biases."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
