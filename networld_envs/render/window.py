"""Show the drawings of `networld_envs.render.frame` as arrays, or in a window with pygame."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

RENDER_MODES = (None, "rgb_array", "human")


class Renderer:
    """Draws one environment of a batch on demand.

    Args:
        task: Name of the task.
        mode: None, ``"rgb_array"`` or ``"human"``.
        fps: Frames per second of the window.

    Raises:
        ValueError: For an unknown mode.
    """

    def __init__(self, task: str, mode: str | None, fps: int) -> None:
        if not isinstance(mode, str | None) or mode not in RENDER_MODES:
            raise ValueError(f"render_mode must be one of {RENDER_MODES}, got {mode!r}")
        self.task = task
        self.mode = mode
        self.fps = fps
        self._window: Any = None
        self._clock: Any = None

    def show(
        self,
        params: Any,
        state: Any,
        rewards: NDArray[np.float32] | None,
        step: int,
        env: int = 0,
    ) -> NDArray[np.uint8] | None:
        """The picture ``(H, W, 3)`` of environment ``env``, or None after showing it in a window.

        Raises:
            RuntimeError: Before the first reset, or when no render mode was chosen.
        """
        if self.mode is None:
            raise RuntimeError("render() needs render_mode='rgb_array' or 'human' at construction")
        if state is None:
            raise RuntimeError("call reset() before render()")
        from networld_envs.render.frame import draw

        one = replace(
            state, **{f.name: getattr(state, f.name)[env : env + 1] for f in fields(state)}
        )
        picture = draw(self.task, params, one, rewards, step)
        if self.mode == "rgb_array":
            return picture
        self._display(picture)
        return None

    def close(self) -> None:
        """Close this window, if it is open. Other windows stay open. Can be called repeatedly."""
        if self._window is not None:
            self._window.destroy()
            self._window = self._clock = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the window: a copy of an environment opens its own window when it is drawn."""
        return {**vars(self), "_window": None, "_clock": None}

    def _display(self, picture: NDArray[np.uint8]) -> None:
        try:
            import pygame
        except ImportError as error:
            raise ImportError(
                "render_mode='human' needs pygame: pip install 'networld[render]'"
            ) from error
        if self._window is None:
            pygame.display.init()
            height, width, _ = picture.shape
            self._window = pygame.Window(f"networld/{self.task}_v0", (width, height))
            self._clock = pygame.time.Clock()
        surface = pygame.surfarray.make_surface(picture.transpose(1, 0, 2))
        self._window.get_surface().blit(surface, (0, 0))
        pygame.event.pump()
        self._window.flip()
        self._clock.tick(self.fps)
