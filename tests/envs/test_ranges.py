"""Every legal setting works: seeded random parameters, and the corners of every range."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace

import numpy as np
import pytest

from networld_envs import cbf, rb
from networld_envs.policies import get_policy, usable_policies
from networld_envs.policies.base import policy_actions
from networld_envs.render.frame import draw
from networld_envs.simulator import Simulator
from tests.helpers.settings import BASES, SMALL, completed, random_settings, task_of

STEPS = 2
each_model = pytest.mark.parametrize("model", BASES)


def run(task, params, seed, policies=False, picture=False):
    """A few steps at random and at the corners of the action space; everything must be finite."""
    sim = Simulator(task, params, 2)
    sim.seed(seed)
    obs, rewards = sim.reset(), np.zeros((2, params.num_agents), np.float32)
    rng = np.random.default_rng(seed)
    for step in range(STEPS + 1):
        low, high = sim.observation_space.low, sim.observation_space.high
        assert np.isfinite(obs).all()
        assert (obs >= low).all()
        assert (obs <= high).all()
        assert np.isfinite(sim.task.global_state(params, sim.state)).all()
        assert all(np.isfinite(value).all() for value in sim.metrics().values())
        assert ((sim.neighbours >= -1) & (sim.neighbours < params.num_agents)).all()
        if step == STEPS:
            break
        outcome = sim.step(actions(sim, rng, step))
        obs, rewards = outcome.obs, outcome.rewards
        assert np.isfinite(rewards).all()
    if policies:
        names = usable_policies(task, params)
        for name in names:
            policy = get_policy(task, name)
            if policy.privileged is None:
                sim.check_actions(policy_actions(policy, sim, obs, [rng, rng], STEPS))
    if picture:
        first = {f.name: getattr(sim.state, f.name)[:1] for f in fields(sim.state)}
        draw(task, params, replace(sim.state, **first), rewards[0], STEPS)


def actions(sim, rng, step):
    space, shape = sim.action_space, (2, sim.spec.num_agents, *sim.action_space.shape)
    if not shape[2:]:
        return rng.integers(0, space.n, shape) if step == 0 else np.full(shape, space.n - 1)
    drawn = rng.uniform(space.low, space.high, shape).astype(np.float32)
    middle = (space.low + space.high) / 2
    return drawn if step == 0 else np.where(drawn > middle, space.high, space.low)


@contextmanager
def noted(note: str) -> Iterator[None]:
    """Add a note to whatever is raised inside this context."""
    try:
        yield
    except Exception as error:
        error.add_note(note)
        raise


@each_model
def test_random_legal_parameters_work(model):
    for seed in range(150):
        params = random_settings(model, np.random.default_rng(seed))
        with noted(f"seed {seed}: {params}"):
            run(task_of(model), params, seed, policies=seed % 3 == 0, picture=seed % 10 == 0)


@each_model
def test_corners_of_every_range_work(model):
    base = BASES[model]
    for name, ends in base.LIMITS.items():
        several = isinstance(getattr(base, name), tuple)
        for end in ends:
            value = min(end, SMALL[name]) if name in SMALL else end
            values = {name: (value,) * len(getattr(base, name)) if several else value}
            params = completed(model, values, np.random.default_rng(0))
            assert name in ("load_shares", "users", "slice_weights", "sla_latency_s") or (
                getattr(params, name) == values[name]
            ), name
            with noted(f"{name}={value}: {params}"):
                run(task_of(model), params, 1)


@each_model
def test_values_beyond_a_range_are_refused(model):
    base = BASES[model]
    for name, (low, high) in base.LIMITS.items():
        field = getattr(base, name)
        whole = name in SMALL or isinstance(field, int) or name == "deadlines_ms"
        step = 1 if whole and name != "max_links" else 1e-3
        step = 1 if name == "max_links" else step
        for value in (low - step, high + max(step, abs(high) * 1e-3), 10**400):
            value = int(value) if step == 1 else value
            given = (value, *field[1:]) if isinstance(field, tuple) else value
            with pytest.raises(ValueError, match=rf"Params\.{name} must be .* in \[") as raised:
                replace(base, **{name: given})
            assert repr(value) in str(raised.value)


def test_users_too_close_to_a_powerful_station_are_refused():
    """The values of an overflow: single precision ends at 385 dB."""
    with pytest.raises(ValueError, match=r"path_loss_1km_db=-254.* 300 dB are allowed"):
        cbf.Params(rings=2, paths=1, path_loss_1km_db=-254.0, path_loss_slope_db=180.7)
    with pytest.raises(ValueError, match=r"numbers in one array"):
        cbf.Params(rings=60)
    assert cbf.Params(rings=60, max_links=32).num_agents == 10_981


def test_a_user_near_the_station_of_another_cell_counts_as_the_smallest_distance_away():
    params = cbf.Params(rings=1, inter_site_m=1e-3, min_distance_m=50.0, max_distance_m=50.0,
                        shadowing_db=0.0)  # fmt: skip
    gain = cbf.reset(params, [np.random.default_rng(0)]).gain
    np.testing.assert_allclose(gain, gain[0, 0, 0], rtol=1e-3)
    near = replace(params, inter_site_m=50.0, rings=4)
    gain = cbf.reset(near, [np.random.default_rng(0)]).gain
    own = np.diagonal(gain, axis1=1, axis2=2)
    assert gain.max() <= own.max() * (1 + 1e-9)


def test_a_cost_that_overflows_is_refused():
    with pytest.raises(ValueError, match=r"Params\.queue_cost must be a number in \[0, 1e\+06\]"):
        rb.Params(queue_cost=1e39)
