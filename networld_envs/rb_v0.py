"""``networld/rb_v0`` in PettingZoo's module style; the task is in `networld_envs.rb`."""

from networld_envs.parallel import task_factories

env, parallel_env = task_factories("rb")
raw_env = parallel_env
