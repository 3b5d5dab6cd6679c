"""``networld train``: train an algorithm on a dataset."""

from networld_algos.cli.train.options import TrainOptions, parse, title
from networld_algos.cli.train.run import train

__all__ = ["TrainOptions", "parse", "title", "train"]
