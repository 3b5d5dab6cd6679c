"""Histograms of columns, and the population stability index that compares two of them.

The bins of a column hold about a tenth of the training data each. Two more catch what lies below
the smallest and above the largest value of the training data. A value that occurs often, such as
an empty queue, may fill several tenths; it then has fewer, larger bins.

The population stability index of shares ``p`` and ``q`` is ``sum (p - q) log(p / q)`` (see Yurdakul
and Naranjo, Journal of Risk Model Validation 14(4), 2020): 0 for equal shares, and symmetric.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

TENTHS = np.linspace(0.1, 0.9, 9)
EDGES = len(TENTHS) + 2
SMALLEST_SHARE = 1e-3
"""Smaller shares count as this, so that an empty bin does not make the index infinite."""


def column_edges(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Upper edges ``(O, EDGES)`` of the bins of each column, padded with infinity.

    Args:
        rows: ``(R, O)`` training data, finite.
    """
    edges = np.full((rows.shape[1], EDGES), np.inf, np.float32)
    for row, values in zip(edges, rows.T, strict=True):
        inner = np.quantile(values, TENTHS, method="inverted_cdf")
        below = np.nextafter(values.min(), np.float32(-np.inf))
        found = np.unique(np.concatenate([[below], inner, [values.max()]]).astype(np.float32))
        row[: len(found)] = found
    return edges


def histogram(rows: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.int64]:
    """Counts ``(O, EDGES + 1)`` of each column; values that are not finite are left out.

    Args:
        rows: ``(R, O)``.
        edges: From `column_edges`. Bin ``i`` holds values above edge ``i - 1`` up to edge ``i``.
    """
    found = np.zeros((len(edges), EDGES + 1), np.int64)
    finite = np.isfinite(rows)
    for counts, row, values, good in zip(found, edges, rows.T, finite.T, strict=True):
        kept = values[good]
        counts += np.bincount(np.searchsorted(row, kept, side="left"), minlength=EDGES + 1)
    return found


def stability_index(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """Population stability index ``(...)`` of counts ``(..., bins)``; 0 where one side is empty."""
    a, b = first.sum(axis=-1, keepdims=True), second.sum(axis=-1, keepdims=True)
    p = np.maximum(first / np.maximum(a, 1), SMALLEST_SHARE)
    q = np.maximum(second / np.maximum(b, 1), SMALLEST_SHARE)
    index = ((p - q) * np.log(p / q)).sum(axis=-1)
    return np.where((a > 0).squeeze(-1) & (b > 0).squeeze(-1), index, 0.0)
