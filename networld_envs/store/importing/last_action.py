"""Whether the columns of the last action show the logged actions, and if not, how far they are off.

Where the task says what an action looks like in the next observation
(`networld_envs.spec.LogFacts.shown_action`), each episode is compared with that. Otherwise the
columns that the spec calls the last action are predicted from the action by least squares, over
some episodes together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.spec import LogFacts, TaskSpec
from networld_envs.store.ids import DatasetError
from networld_envs.store.importing.log_checks import LogError
from networld_envs.store.importing.log_columns import FEWEST_ROWS, LAGS, shifted, steps

TOLERANCE = 1e-4  # of the largest value of a column
SAME = 0.9  # share of equal rows, or of explained variance, from which columns show the action
MARGIN = 0.05
MOST_CHOICES = 32  # of a discrete action that is predicted from
MOST_AGENTS = 50
MOST_ROWS = 20_000
REMEDY = "actions[t] must be the action after observation t, which observation t+1 shows"

Arrays = Mapping[str, NDArray[Any]]


class LastAction:
    """The check, one episode at a time.

    Args:
        params: Parameters of the task.
        spec: The task's.
        facts: The task's.
    """

    def __init__(self, params: Any, spec: TaskSpec, facts: LogFacts) -> None:
        self._params, self._spec, self._shown = params, spec, facts.shown_action
        self._index = {column.name: i for i, column in enumerate(spec.obs_columns)}
        self._different = self._compared = self._close = 0
        self._first = ""
        self._kept: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        self._rows = 0

    def add(self, fields: Arrays, sampled: bool) -> None:
        """Check one episode.

        Raises:
            DatasetError: If the columns show other actions.
        """
        obs, actions = fields["observations"], fields["actions"]
        expected = {} if self._shown is None else self._shown(self._params, actions)
        expected = {self._index[n]: v for n, v in expected.items() if n in self._index}
        if expected:
            self._compare(obs, actions, expected)
        elif self._spec.last_action and sampled and self._rows < MOST_ROWS:
            shown = obs[1:, :MOST_AGENTS, list(self._spec.last_action)].astype(np.float64)
            self._kept.append((shown, self._features(actions[:, :MOST_AGENTS])))
            self._rows += shown.shape[0] * shown.shape[1]

    def finish(self) -> tuple[list[str], list[str]]:
        """Warnings, and what was not checked.

        Raises:
            DatasetError: If the columns show the actions of other steps.
        """
        if self._kept:
            return self._predicted()
        if not self._compared:
            return [], ["actions against last-action columns: the observation shows no action"]
        if not self._different:
            return [], []
        share = self._different / self._compared
        return [
            f"observations differ from the action before them in {share:.2%} of the steps of "
            f"agents, first: {self._first}; {REMEDY}"
        ], []

    def _compare(
        self, obs: NDArray[Any], actions: NDArray[Any], expected: dict[int, NDArray[Any]]
    ) -> None:
        columns = list(expected)
        want = np.stack(list(expected.values()), axis=-1)  # (T, N, columns)
        shown = obs[1:, :, columns]
        scale = np.abs(want).max(axis=(0, 1))
        equal = (np.abs(shown - want) <= TOLERANCE * scale).all(axis=-1)
        self._compared += equal.size
        if equal.all():
            return
        step, agent = (int(i) for i in np.argwhere(~equal)[0])
        off = np.abs(shown[step, agent] - want[step, agent]) - TOLERANCE * scale
        c = int(np.argmax(off))
        first = (
            f"step {step + 1}, agent {agent}: observations column "
            f"{self._spec.column_name('observations', columns[c])} is {shown[step, agent, c]:g}, "
            f"but after the action of step {step} it should be {want[step, agent, c]:g}"
        )
        none = LAGS.index(0)
        share, fit = np.array([_agreement(shown, want, scale, lag) for lag in LAGS]).T
        best = int(np.argmax(share))
        if share[best] < SAME:
            best = int(np.argmax(fit))
        good = max(share[best], fit[best]) >= SAME
        gain = max(share[best] - share[none], fit[best] - fit[none])
        if best != none and good and gain > MARGIN:
            raise LogError(
                f"{first}. The columns of the last action fit best when the actions are moved by "
                f"{steps(LAGS[best])}: then {share[best]:.0%} are equal, now {share[none]:.0%}. "
                f"Move them: {REMEDY}",
                step + 1,
                agent,
            )
        if max(share[none], fit[none]) < SAME:
            raise LogError(
                f"{first}. The columns of the last action show {share[none]:.0%} of the actions, "
                f"and moving the actions by up to {LAGS[-1]} steps does not help; check their "
                f"order of agents, columns and units: {REMEDY}",
                step + 1,
                agent,
            )
        self._different += int((~equal).sum())
        self._first = self._first or first

    def _features(self, actions: NDArray[Any]) -> NDArray[np.float64]:
        """What to predict columns from, ``(T, N, features)``: choices as indicators."""
        if self._spec.action_kind == "box":
            return actions.astype(np.float64)
        if self._spec.action_kind == "discrete" and self._spec.num_choices <= MOST_CHOICES:
            return np.eye(self._spec.num_choices)[actions][..., 1:]
        return actions[..., None].astype(np.float64)

    def _predicted(self) -> tuple[list[str], list[str]]:
        fit = np.array([_explained(self._kept, lag) for lag in LAGS])  # (lags, columns)
        none = LAGS.index(0)
        best, column = (int(i) for i in np.unravel_index(np.argmax(fit), fit.shape))
        name = self._spec.column_name("observations", self._spec.last_action[column])
        left, left_now = 1.0 - fit[best, column], 1.0 - fit[none, column]
        if fit[best, column] > 0.5 and left < 0.25 * left_now:
            raise DatasetError(
                f"the actions explain {fit[best, column]:.0%} of observations column {name}, which "
                f"shows the last action, when they are moved by {steps(LAGS[best])}, and "
                f"{fit[none, column]:.0%} as they are. Move them: {REMEDY}"
            )
        varied = any(np.ptp(features, axis=(0, 1)).any() for _, features in self._kept)
        if varied and self._rows >= FEWEST_ROWS and fit[best, column] < MARGIN:
            return [
                f"observations: no column of the last action depends on the actions; {REMEDY}"
            ], []
        return [], []


def _agreement(
    shown: NDArray[Any], want: NDArray[Any], scale: NDArray[Any], lag: int
) -> tuple[float, float]:
    """Share of equal rows and of explained variance at a lag; 0 without enough overlap."""
    a, b = shifted(shown, want, lag)
    if len(a) < 2:
        return 0.0, 0.0
    equal = (np.abs(a - b) <= TOLERANCE * scale).all(axis=-1).mean()
    variance = b.var(axis=(0, 1), dtype=np.float64)
    varied = variance > 0.0
    if not varied.any():
        return float(equal), 0.0
    error = np.square(a - b, dtype=np.float64).mean(axis=(0, 1))
    return float(equal), float(1.0 - (error[varied] / variance[varied]).mean())


def _explained(
    kept: list[tuple[NDArray[np.float64], NDArray[np.float64]]], lag: int
) -> NDArray[np.float64]:
    """Share of each column's variance that the actions explain at a lag, ``(columns,)``."""
    pairs = [shifted(shown, features, lag) for shown, features in kept]
    y = np.concatenate([a.reshape(-1, a.shape[-1]) for a, _ in pairs])
    x = np.concatenate([b.reshape(-1, b.shape[-1]) for _, b in pairs])
    if len(y) <= 4 * x.shape[1]:
        return np.zeros(y.shape[1])
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    x /= np.maximum(np.abs(x).max(axis=0), 1e-300)
    rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    total = np.square(y).sum(axis=0)
    return np.where(total > 0.0, 1.0 - np.square(rest).sum(axis=0) / np.maximum(total, 1e-300), 0.0)
