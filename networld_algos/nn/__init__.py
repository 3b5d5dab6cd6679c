"""Building blocks of networks and training; nothing here depends on an algorithm.

A new algorithm needs these names most:

>>> from networld_algos.nn import ActionHead, LocalInputs, adam, descend, seeded
"""

from networld_algos.nn.action_head import ActionHead
from networld_algos.nn.features import ObsFeatures
from networld_algos.nn.inputs import InputsConfig, LocalInputs
from networld_algos.nn.layers import Hidden, mlp
from networld_algos.nn.losses import as_floats, masked_mean, row_mean
from networld_algos.nn.messages import MeanField, collect
from networld_algos.nn.optim import adam, adamw, anneal, cosine_decay, descend, set_learning_rate
from networld_algos.nn.random import normal, seeded, uniform

__all__ = [
    "ActionHead",
    "Hidden",
    "InputsConfig",
    "LocalInputs",
    "MeanField",
    "ObsFeatures",
    "adam",
    "adamw",
    "anneal",
    "as_floats",
    "collect",
    "cosine_decay",
    "descend",
    "masked_mean",
    "mlp",
    "normal",
    "row_mean",
    "seeded",
    "set_learning_rate",
    "uniform",
]
