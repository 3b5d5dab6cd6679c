"""A dataset in a few numbers, to check a rebuild that was made on another processor.

Processors and NumPy builds may round differently, so a rebuild may not have the recorded content
hash. In that case its fingerprint is compared with the committed one: mean, standard deviation and
quantiles of every column, and the first episode's observations, averaged over agents, at a few
steps.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minari
import numpy as np
from numpy.typing import NDArray

from networld_envs.files import replace_text
from networld_envs.store.minari_io import episodes

FINGERPRINTS = Path(__file__).with_name("fingerprints.json")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
QUANTILE_EPISODES = 50  # evenly spaced episodes that quantiles use, to bound memory
COLUMN_FIELDS = ("observations", "actions", "agent_rewards")
FIRST_EPISODE_TOLERANCE = 1e-3  # in standard deviations of the column
MOMENT_TOLERANCE = 0.02
QUANTILE_TOLERANCE = 0.1  # an integer at the quantile's edge may jump


@dataclass(frozen=True)
class Comparison:
    """How far a dataset is from a fingerprint, in standard deviations of each column.

    Attributes:
        first_episode: Largest difference of the first episode's observations.
        moments: Largest difference of a mean or a standard deviation.
        quantiles: Largest difference of a quantile.
        why_not: How sizes differ, or "" if they are equal.
    """

    first_episode: float
    moments: float
    quantiles: float
    why_not: str = ""

    @property
    def equal_to_rounding(self) -> bool:
        """Whether rounding alone can explain the differences."""
        return (
            not self.why_not
            and self.first_episode <= FIRST_EPISODE_TOLERANCE
            and self.moments <= MOMENT_TOLERANCE
            and self.quantiles <= QUANTILE_TOLERANCE
        )

    def __str__(self) -> str:
        return self.why_not or (
            f"largest differences in standard deviations: first episode {self.first_episode:.2g}, "
            f"moments {self.moments:.2g}, quantiles {self.quantiles:.2g}"
        )


def fingerprint(dataset: minari.MinariDataset) -> dict[str, Any]:
    """Sizes, moments, quantiles and first episode of a dataset, as plain types for JSON.

    Episodes are read one at a time.
    """
    total = dataset.total_episodes
    sampled = set(np.linspace(0, total - 1, min(total, QUANTILE_EPISODES)).round().astype(int))
    sums: dict[str, list[Any]] = {}
    kept: dict[str, list[NDArray[Any]]] = {name: [] for name in COLUMN_FIELDS}
    first: dict[str, Any] = {}
    steps = size = 0
    for k, episode in enumerate(episodes(dataset)):
        steps += len(episode["truncations"])
        size += sum(array.nbytes for array in episode.values())
        for name in COLUMN_FIELDS:
            rows = _columns(episode[name], name)  # (rows, columns)
            part = [len(rows), rows.sum(0), (rows**2).sum(0)]
            sums[name] = [a + b for a, b in zip(sums[name], part, strict=True)] if k else part
            if k in sampled:
                kept[name].append(rows.astype(np.float32))
        if k == 0:
            observed = episode["observations"].mean(axis=1, dtype=np.float64)  # (T+1, O)
            at = sorted({0, 1, *np.linspace(0, len(observed) - 1, 4).astype(int).tolist()})
            first = {"steps": at, "observations": _rounded(observed[at])}
    fields = {}
    for name in COLUMN_FIELDS:
        count, total_sum, square_sum = sums[name]
        mean = total_sum / count
        std = np.sqrt(np.maximum(square_sum / count - mean**2, 0.0))
        spread = np.quantile(np.concatenate(kept[name]), QUANTILES, axis=0)
        fields[name] = {
            "mean": _rounded(mean),
            "std": _rounded(std),
            "quantiles": _rounded(spread),
        }
    return {
        "episodes": total,
        "steps": steps,
        "bytes": size,
        "mean_reward": fields["agent_rewards"]["mean"][0],
        "fields": fields,
        "first_episode": first,
    }


def compare(found: dict[str, Any], expected: dict[str, Any]) -> Comparison:
    """Compare two fingerprints; differences are in units of the expected standard deviation."""
    for key in ("episodes", "steps", "bytes"):
        if found[key] != expected[key]:
            return Comparison(np.inf, np.inf, np.inf, f"{key}: {found[key]}, not {expected[key]}")
    unit = {name: _unit(expected["fields"][name]) for name in COLUMN_FIELDS}
    moments, quantiles = [], []
    for name in COLUMN_FIELDS:
        a, b = found["fields"][name], expected["fields"][name]
        moments += [_largest(a[key], b[key], unit[name]) for key in ("mean", "std")]
        quantiles.append(_largest(a["quantiles"], b["quantiles"], unit[name]))
    first = _largest(
        found["first_episode"]["observations"],
        expected["first_episode"]["observations"],
        unit["observations"],
    )
    return Comparison(first, max(moments), max(quantiles))


def fingerprints() -> dict[str, dict[str, Any]]:
    """The committed fingerprints by dataset id."""
    path = FINGERPRINTS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def record_fingerprint(dataset_id: str, values: dict[str, Any]) -> None:
    """Write a fingerprint into the table of this checkout, atomically; one dataset per line."""
    table = {**fingerprints(), dataset_id: values}
    lines = [f"{json.dumps(key)}: {json.dumps(table[key])}" for key in sorted(table)]
    replace_text(FINGERPRINTS, "{\n" + ",\n".join(lines) + "\n}\n")


def _columns(array: NDArray[Any], name: str) -> NDArray[np.float64]:
    """``(rows, columns)``: actions without a last axis and rewards are one column."""
    wide = array.ndim == 3 and name != "agent_rewards"
    return array.reshape(-1, array.shape[-1] if wide else 1).astype(np.float64)


def _unit(field: dict[str, Any]) -> NDArray[np.float64]:
    """Standard deviation of each column; a constant column counts relative to its value."""
    std, mean = np.asarray(field["std"]), np.abs(np.asarray(field["mean"]))
    return np.where(std > 1e-6 * mean, std, np.maximum(mean, 1e-12))


def _largest(found: Any, expected: Any, unit: NDArray[np.float64]) -> float:
    return float((np.abs(np.asarray(found) - np.asarray(expected)) / unit).max())


def _rounded(values: NDArray[Any]) -> Any:
    """Nested lists of numbers with seven significant digits."""
    return np.vectorize(lambda x: float(f"{x:.7g}"), otypes=[float])(values).tolist()
