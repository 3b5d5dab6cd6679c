"""Random streams of training and evaluation beside those that a seed gives to everything else."""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class Stream(IntEnum):
    """Random streams, one for each use.

    Whoever draws for one of these uses takes ``default_rng([seed, stream])``. The draws then depend
    on the seed and the use alone, and not on what else draws from the seed. Results depend on
    these values. `networld_envs.spec.Stream` lists the streams of environments and policies.
    """

    HOLDOUT = 0x5717
    """Which episodes training sets aside."""
    SUBSET = 0x5EED
    """Which episodes belong to a share of a dataset."""
    VALIDATION = 0x7A1
    """Windows on which the validation loss is measured."""
    MESSAGE_LOSS = 0x1055
    """Messages that are lost in an evaluation."""
    SHUFFLE = 0x5F1E
    """Places of shuffled observations, actions and rewards."""
