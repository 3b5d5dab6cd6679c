"""Gather what a deployed model sees and does, and compare it with its training data."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import ks_2samp

from networld_algos.deploy.monitor.bins import histogram, stability_index
from networld_algos.deploy.monitor.limits import USUAL_INDEX
from networld_algos.deploy.monitor.reference import Reference, View
from networld_algos.deploy.monitor.report import ColumnDrift, Report, Watched
from networld_algos.deploy.monitor.support import SAMPLE, action_features

FALLBACKS = 0.01
"""Share of fallback decisions that raises an alarm, unless you choose another."""
INVALID = 0.001  # share of decisions whose observation is not finite


class Monitor:
    """Counts and samples decisions; its memory does not grow with their number.

    Args:
        reference: Description of the training data.
        view: ``"network"`` if you pass the decisions of all agents of a network, ``"station"`` if
            you pass those of one. One station varies more, so its limits are wider.
        most_fallbacks: Share of fallback decisions above which there is an alarm.
        seed: Seed of the sample.

    Raises:
        ValueError: If ``view`` is unknown, or ``most_fallbacks`` is not a share.
    """

    def __init__(
        self,
        reference: Reference,
        view: View = "network",
        most_fallbacks: float = FALLBACKS,
        seed: int = 0,
    ) -> None:
        if view not in reference.usual:
            raise ValueError(f"view must be one of {sorted(reference.usual)}, got {view!r}")
        if not 0.0 <= most_fallbacks <= 1.0:
            raise ValueError(f"most_fallbacks must be in 0 .. 1, got {most_fallbacks}")
        self.reference = reference
        self.view: View = view
        self.most_fallbacks = most_fallbacks
        self._seed = seed
        self.clear()

    def clear(self) -> None:
        """Forget everything, e.g. to begin the next day."""
        spec = self.reference.spec
        self._rng = np.random.default_rng(self._seed)
        self._counts = np.zeros_like(self.reference.counts)
        self._obs = np.empty((0, spec.obs_dim), np.float32)
        self._actions = np.empty((0, self.reference.support.actions.shape[1]), np.float32)
        self._keys = np.empty(0)
        self.decisions = self.episodes = self.fallbacks = self._invalid = 0
        self._disagreement, self._compared = 0.0, 0

    def start_episode(self) -> None:
        """The next decisions are of another network, or another day, than the last ones.

        Call it where you reset the policy. Without a call, everything counts as one episode, and
        the limits are those of a single episode, which are the widest.
        """
        self.episodes += 1

    def update(
        self,
        obs: ArrayLike,
        actions: ArrayLike,
        *,
        disagreement: ArrayLike | None = None,
        fallbacks: int = 0,
    ) -> None:
        """Take in decisions, of one or many agents and steps.

        Args:
            obs: ``(..., O)`` what was observed. Values that are not finite are counted.
            actions: ``(..., A)``, or ``(...)`` for discrete and ordered actions: what was done.
            disagreement: ``(...)`` of the model's ensemble, if it has one. Values that are not
                finite are left out.
            fallbacks: How many of these decisions were not the model's.

        Raises:
            ValueError: If a size is not that of the task, or a number of fallbacks is impossible.
        """
        spec = self.reference.spec
        rows = np.asarray(obs, np.float32)
        if rows.ndim == 0 or rows.shape[-1] != spec.obs_dim:
            raise ValueError(
                f"an observation of task {spec.task!r} has {spec.obs_dim} columns, got {rows.shape}"
            )
        lead = rows.shape[:-1]
        done = np.asarray(actions)
        expected = (*lead, spec.action_dim) if spec.action_kind == "box" else lead
        if done.shape != expected:
            raise ValueError(f"observations {rows.shape} need actions {expected}, got {done.shape}")
        rows = rows.reshape(-1, spec.obs_dim)
        if not 0 <= fallbacks <= len(rows):
            raise ValueError(f"fallbacks must be in 0 .. {len(rows)}, got {fallbacks}")
        features = action_features(done, spec)
        if disagreement is not None:
            differ = np.asarray(disagreement, np.float64)
            if differ.shape != lead:
                raise ValueError(f"disagreement must have shape {lead}, got {differ.shape}")
            usable = np.isfinite(differ)  # a broken observation is counted by itself, see below
            self._disagreement += float(differ[usable].sum())
            self._compared += int(usable.sum())
        self.episodes = max(self.episodes, 1)
        self.decisions += len(rows)
        self.fallbacks += int(fallbacks)
        self._invalid += int((~np.isfinite(rows).all(axis=1)).sum())
        self._counts += histogram(rows, self.reference.edges)
        self._sample(rows, features)

    def count_fallbacks(self, number: int) -> None:
        """Say that ``number`` of the decisions taken in so far were not the model's.

        Raises:
            ValueError: If there were not that many.
        """
        if not 0 <= number <= self.decisions - self.fallbacks:
            raise ValueError(
                f"fallbacks must be in 0 .. {self.decisions - self.fallbacks}, got {number}"
            )
        self.fallbacks += int(number)

    def _sample(self, rows: NDArray[np.float32], features: NDArray[np.float32]) -> None:
        """Keep the rows with the smallest random keys: a uniform sample of all so far."""
        keys = self._rng.random(len(rows))
        if len(self._keys) >= SAMPLE:
            below = keys < self._keys.max()
            rows, features, keys = rows[below], features[below], keys[below]
        self._obs = np.concatenate([self._obs, rows])
        self._actions = np.concatenate([self._actions, features])
        self._keys = np.concatenate([self._keys, keys])
        if len(self._keys) > SAMPLE:
            kept = np.sort(np.argpartition(self._keys, SAMPLE - 1)[:SAMPLE])
            self._obs, self._actions = self._obs[kept], self._actions[kept]
            self._keys = self._keys[kept]

    def report(self) -> Report:
        """Compare what was taken in so far with the training data."""
        usual = self.reference.usual[self.view]
        units = min(self.episodes, self.decisions // max(usual.decisions, 1))
        support, drift = None, ()
        if self.decisions:
            out_obs, out_actions = self.reference.support.outside(self._obs, self._actions)
            limit = usual.outside.at(units)
            support = Watched(
                "decisions out of support",
                float((out_obs | out_actions).mean()),
                None if limit is None else float(limit),
            )
            shares = float(out_obs.mean()), float(out_actions.mean())
            drift = self._columns(usual.index.at(units) if units else None, units)
        else:
            shares = 0.0, 0.0
        disagreement = None
        if self._compared:
            limit = usual.disagreement.at(units)
            disagreement = Watched(
                "ensemble disagreement",
                self._disagreement / self._compared,
                None if limit is None else float(limit),
            )
        rate = self.fallbacks / max(self.decisions, 1)
        return Report(
            task=self.reference.spec.task,
            view=self.view,
            decisions=self.decisions,
            episodes=self.episodes,
            units=units,
            needed=usual.decisions,
            calibrated=usual.index.sizes.size > 0,
            columns=drift,
            support=support,
            observations_outside=shares[0],
            actions_outside=shares[1],
            disagreement=disagreement,
            fallback=Watched("fallback decisions", rate, self.most_fallbacks),
            invalid=Watched(
                "observations that are not finite",
                self._invalid / max(self.decisions, 1),
                INVALID,
            ),
        )

    def _columns(self, limits: NDArray[np.float64] | None, units: int) -> tuple[ColumnDrift, ...]:
        reference = self.reference
        index = stability_index(reference.counts, self._counts)
        if limits is None and units:
            limits = np.full(len(index), USUAL_INDEX)
        found = []
        for c, value in enumerate(index.tolist()):
            then = reference.quantiles[c]
            now = self._obs[:, c][np.isfinite(self._obs[:, c])]
            found.append(
                ColumnDrift(
                    column=c,
                    name=reference.spec.column_name("observations", c),
                    psi=value,
                    limit=None if limits is None else float(limits[c]),
                    ks=_gap(then, now),
                    median_then=float(np.median(then)),
                    median_now=float(np.median(now)) if now.size else float("nan"),
                )
            )
        return tuple(found)


def _gap(then: NDArray[np.float32], now: NDArray[np.float32]) -> float:
    """Kolmogorov-Smirnov statistic of two samples; 0 if one is empty."""
    return float(np.asarray(ks_2samp(then, now))[0]) if now.size else 0.0
