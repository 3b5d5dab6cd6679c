"""``networld/cbf_v0`` in PettingZoo's module style; the task is in `networld_envs.cbf`."""

from networld_envs.parallel import task_factories

env, parallel_env = task_factories("cbf")
raw_env = parallel_env
