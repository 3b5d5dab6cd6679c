"""Behaviour and reference policies of every task.

A task module's ``POLICIES`` maps names to `Policy`, from weak to strong. A behaviour is a policy
with a share of its actions replaced by random ones; the dataset catalogue writes it as
``{ policy = "expert", random_share = 0.05 }``.
"""

from networld_envs.policies.base import (
    best_policy,
    get_policy,
    policy_actions,
    task_policies,
    usable_policies,
)
from networld_envs.spec import Policy

__all__ = [
    "Policy",
    "best_policy",
    "get_policy",
    "policy_actions",
    "task_policies",
    "usable_policies",
]
