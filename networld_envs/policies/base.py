"""What a behaviour or reference policy is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["random", "static", "heuristic", "expert", "genie"]
Local = Callable[
    [Any, NDArray[np.float32], NDArray[np.int32], Sequence[np.random.Generator], int], NDArray[Any]
]
Privileged = Callable[[Any, Any, Sequence[np.random.Generator], int], NDArray[Any]]


@dataclass(frozen=True)
class Policy:
    """A reference policy of one task; exactly one of ``local`` and ``privileged`` is given.

    Attributes:
        name: Key in the task's ``POLICIES``.
        role: ``"random"``, ``"static"``, ``"heuristic"``, ``"expert"`` or ``"genie"``.
        summary: One line for tables and plots.
        local: ``(params, obs, neighbours, rngs, step) -> actions``. Agent i's action may depend
            only on its own row of ``obs`` ``(E, N, O)``, the rows of its 1-hop ``neighbours``
            ``(E, N, D)``, its own generator ``rngs[e]`` and the ``step`` since reset.
        needs: Whether it can act at given parameters.
        privileged: ``(params, state, rngs, step) -> actions`` with global or future knowledge: an
            upper reference, never a source of expert data.
    """

    name: str
    role: Role
    summary: str
    local: Local | None = None
    privileged: Privileged | None = None
    needs: Callable[[Any], bool] = lambda params: True

    def __post_init__(self) -> None:
        if (self.local is None) == (self.privileged is None):
            raise ValueError(f"policy {self.name!r} must be either local or privileged")
        if (self.privileged is not None) != (self.role == "genie"):
            raise ValueError(f"policy {self.name!r}: exactly the genies are privileged")
