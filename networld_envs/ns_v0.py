"""``networld/ns_v0`` in PettingZoo's module style; the task is in `networld_envs.ns`."""

from networld_envs.parallel import task_factories

env, parallel_env = task_factories("ns")
raw_env = parallel_env
