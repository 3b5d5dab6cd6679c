"""The suite `cpu` without NetWorld, for a search of the baselines only."""

from dataclasses import replace

from networld_algos.bench.presets import get_suite

suite = get_suite("cpu")
SUITE = replace(
    suite,
    entries=tuple(e for e in suite.entries if e.algorithm != "networld"),
    fewshot=None,
    deployments=None,
    ablation=None,
    robustness=None,
    cost=None,
)
