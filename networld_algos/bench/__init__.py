"""Suites of the benchmark: their definition and the runner.

>>> from networld_algos.bench import Entry, Suite, run_suite

`networld_algos.bench.suite` describes suites. `networld_algos.bench.presets` holds the suites that
come with the package.
"""

from networld_algos.bench.job import Outcome
from networld_algos.bench.parts import Ablation, Cost, Entry, FewShot, Robustness
from networld_algos.bench.paths import Paths
from networld_algos.bench.presets import SUITES, get_suite, load_suite
from networld_algos.bench.runner import run_suite, set_aside, suite_paths, unfinished
from networld_algos.bench.runs import Condition, Run
from networld_algos.bench.suite import Suite
from networld_algos.bench.unroll import unroll

__all__ = [
    "SUITES",
    "Ablation",
    "Condition",
    "Cost",
    "Entry",
    "FewShot",
    "Outcome",
    "Paths",
    "Robustness",
    "Run",
    "Suite",
    "get_suite",
    "load_suite",
    "run_suite",
    "set_aside",
    "suite_paths",
    "unfinished",
    "unroll",
]
