"""Where the metrics of a training go: CSV, TensorBoard, Weights & Biases, or your own logger."""

from networld_algos.results.loggers.interface import Logger, Values
from networld_algos.results.loggers.log import EVERY, LOGGERS, Log, absolute, logger_kind

__all__ = ["EVERY", "LOGGERS", "Log", "Logger", "Values", "absolute", "logger_kind"]
