"""The interface of a logger, and the names of what it is given.

==================  ================================================================================
``loss/NAME``       what an algorithm's update returns, without unit: its losses and other numbers
``eval/reward``     mean reward of an agent and step in an evaluation, in the unit of the task
``eval/score``      the same in percent of the way from the random policy (0) to the expert (100)
``eval/NAME``       a diagnostic of that evaluation, as in the field ``extra`` of a row of results
``health/NAME``     a diagnostic at the end of ``networld train``, on held-out episodes
==================  ================================================================================

Names are the same for every method, so that trainings share a chart. If a model is evaluated with
several ways to decide, ``eval`` is the first, and the label of its rows stands for each further
one; a slash in it becomes a division sign. On validation networks, reward and score are named
``validation_reward`` and ``validation_score``. The step of all of them is the number of updates
done.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

Values = Mapping[str, float]
"""Finite numbers by name."""


class Logger(Protocol):
    """Receives the metrics of one training.

    A training that is interrupted repeats the updates since its last checkpoint, with the same
    results. `start` therefore says where it goes on, and a logger must not show an update twice.
    """

    def __init__(self, folder: Path) -> None:
        """Import what is needed; nothing is written before `start`.

        Args:
            folder: Folder for the files of all loggers of the training; it may not exist yet.

        Raises:
            ImportError: If a library is missing; the message says how to install it.
        """
        ...

    def start(self, done: int, about: Mapping[str, Any]) -> None:
        """Begin, or go on after an interruption.

        Args:
            done: Number of updates after which the training goes on, 0 for a new one. What is
                logged for later updates comes again.
            about: What the training is, as JSON types: ``"name"``, and its settings.
        """
        ...

    def log(self, updates: int, values: Values) -> None:
        """Record numbers that were measured after ``updates`` updates, which never decreases."""
        ...

    def close(self) -> None:
        """Finish; called once if `start` has succeeded, also if the training fails."""
        ...
