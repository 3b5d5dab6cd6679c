"""Temporal convolutions that run as one matrix product where that is faster."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

DENSE_WIDTH = 1024
"""Largest channels x length for which a convolution may run as one matrix product."""

DENSE_ROWS = 64
"""Most rows for which the matrix product beats conv1d at any length (measured, one thread)."""


@dataclass(frozen=True)
class _Dense:
    """A convolution as a matrix, and the weights it was made from.

    Attributes:
        sources: Weight and bias. They share memory with the layer's, which therefore is not given
            to other tensors as long as this exists: an address stands for one tensor.
        versions: How often each had been changed in place.
        matrix: ``(C_in * L, C_out * L_out)``.
        bias: ``(C_out * L_out,)``.
    """

    sources: tuple[Tensor, Tensor]
    versions: tuple[int, int]
    matrix: Tensor
    bias: Tensor

    def is_of(self, weight: Tensor, bias: Tensor) -> bool:
        """Whether the weights are the same tensors, unchanged."""
        return all(
            old.data_ptr() == new.data_ptr() and version == new._version
            for old, version, new in zip(self.sources, self.versions, (weight, bias), strict=True)
        )


class Convolution(nn.Module):
    """Temporal convolution, plain, strided or transposed, with a dense form for planning.

    A convolution over a few positions is a small matrix over (channels x length). For few rows, or
    at length 2, one matrix product is 1.4 to 3 times faster on a CPU than conv1d. The matrix is
    built from the weights once and rebuilt when they change.

    Only weights that need no gradient have a dense form. Fused optimisers change weights without a
    trace, and these are the weights that no optimiser changes. The one change that goes unnoticed
    is in place through ``.data``, which torch does not track; use ``torch.no_grad()`` instead.

    Args:
        conv: ``nn.Conv1d`` or ``nn.ConvTranspose1d``.
    """

    def __init__(self, conv: nn.Conv1d | nn.ConvTranspose1d) -> None:
        super().__init__()
        self.conv = conv
        self._dense: dict[int, _Dense] = {}  # by length

    def forward(self, x: Tensor, *, frozen: bool = False) -> Tensor:
        """``(rows, C_in, L)`` to ``(rows, C_out, L_out)``.

        Args:
            x: Input.
            frozen: The caller needs no gradient of the weights, so the dense form may be used.
        """
        rows, channels, length = x.shape
        wide = max(channels, self.conv.out_channels) * length > DENSE_WIDTH
        if not frozen or wide or (rows > DENSE_ROWS and length > 2) or not self._is_tracked():
            return self.conv(x)
        dense = self._dense_form(channels, length)
        flat = torch.addmm(dense.bias, x.reshape(rows, channels * length), dense.matrix)
        return flat.view(rows, self.conv.out_channels, -1)

    def _is_tracked(self) -> bool:
        """Whether every change of the weights leaves a trace; not while an export traces them."""
        weight = self.conv.weight
        if torch.compiler.is_compiling():
            return False
        return not weight.requires_grad and not weight.is_inference()

    @torch.no_grad()
    def _dense_form(self, channels: int, length: int) -> _Dense:
        weight, bias = self.conv.weight, self.conv.bias
        assert bias is not None
        dense = self._dense.get(length)
        if dense is None or not dense.is_of(weight, bias):
            size = channels * length
            basis = torch.eye(size, dtype=weight.dtype, device=weight.device)
            rows = self.conv(basis.view(size, channels, length))
            shift = bias[:, None].expand(-1, rows.shape[-1])
            dense = _Dense(
                sources=(weight.detach(), bias.detach()),
                versions=(weight._version, bias._version),
                matrix=(rows - shift).reshape(size, -1).contiguous(),
                bias=shift.reshape(-1).contiguous(),
            )
            self._dense = {**self._dense, length: dense}
        return dense

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_dense": {}}
