"""What holds at any legal parameters: spaces, bounds, symmetries."""

from dataclasses import fields, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from networld_envs import cbf
from networld_envs.cbf import network
from networld_envs.cbf.policies import POLICIES
from tests.helpers.cbf import P, random_actions, rngs


@settings(max_examples=25, deadline=None)
@given(
    rings=st.integers(0, 2),
    antennas=st.integers(1, 6),
    slots=st.integers(0, 8),
    power_dbm=st.sampled_from([-200.0, 0.0, 38.0, 60.0]),
    correlation=st.sampled_from([0.0, 0.64, 1.0]),
    spread=st.sampled_from([0.0, 3.0, 360.0]),
    scale=st.sampled_from([0.0, 1e-6, 1.0]),
    csi=st.booleans(),
    wrap=st.booleans(),
    speed=st.sampled_from([0.0, 30.0]),
    links=st.sampled_from([None, 2, 5]),
    seed=st.integers(0, 2**31),
)
def test_legal_inputs_never_leave_the_spaces(
    rings, antennas, slots, power_dbm, correlation, spread, scale, csi, wrap, speed, links, seed
):
    params = replace(
        P,
        rings=rings,
        antennas=antennas,
        neighbours=slots,
        power_dbm=power_dbm,
        correlation=correlation,
        angular_spread_deg=spread,
        observation="csi" if csi else "angle",
        wrap_around=wrap,
        user_speed_mps=speed,
        max_links=links,
    )
    generators = rngs(1, seed)
    state = cbf.reset(params, generators)
    space, box = cbf.observation_space(params), cbf.action_space(params)
    for name, policy in POLICIES.items():
        obs, table = cbf.observe(params, state), cbf.neighbours(params, state)
        assert obs.shape[-1] == cbf.spec(params).obs_dim
        assert all(space.contains(row) for row in obs[0])
        if not policy.needs(params):
            continue
        if policy.privileged:
            actions = policy.privileged(params, state, generators, 0)
        else:
            actions = policy.local(params, obs, table, generators, 0)
        assert all(box.contains(row) for row in actions[0]), name
        actions = actions * np.float32(scale)
        after = cbf.transition(params, state, actions, generators)
        rewards = cbf.reward(params, state, actions, after)
        assert np.isfinite(rewards).all()
        assert ((np.abs(after.beamformer) ** 2).sum(-1) <= 1 + 1e-5).all()
        assert (rewards <= after.rate + 1e-4).all()
        state = after


def every_params():
    """Legal parameters of every option and the combinations that exclude one another left out."""
    return st.builds(
        complete,
        rings=st.integers(0, 2),
        antennas=st.sampled_from([1, 2, 3, 4, 7]),
        neighbours=st.integers(0, 20),
        power_dbm=st.sampled_from([-200.0, 0.0, 38.0, 120.0]),
        min_distance_m=st.sampled_from([1e-3, 10.0]),
        shadowing_db=st.sampled_from([0.0, 8.0, 20.0]),
        paths=st.integers(1, 5),
        angular_spread_deg=st.sampled_from([0.0, 3.0, 360.0]),
        correlation=st.sampled_from([0.0, 0.64, 1.0]),
        observation=st.sampled_from(["angle", "csi", "ge2020"]),
        action=st.sampled_from(["box", "codebook"]),
        power_levels=st.integers(2, 6),
        codewords=st.integers(1, 9),
        reward_set=st.sampled_from(["gain", "power"]),
        wrap_around=st.booleans(),
        user_speed_mps=st.sampled_from([0.0, 30.0, 300.0]),
        sinr_cap_db=st.sampled_from([None, -10.0, 20.0]),
        max_links=st.sampled_from([None, 2, 5]),
    )


def complete(**fields):
    if fields["observation"] == "ge2020":
        fields["action"] = "codebook"
    if fields["observation"] == "ge2020" or fields["reward_set"] == "power":
        fields["max_links"] = None
    if fields["power_dbm"] == 120.0:  # the largest power over noise is 300 dB
        fields.update(min_distance_m=10.0, shadowing_db=min(fields["shadowing_db"], 8.0))
    elif fields["power_dbm"] > -200.0 and fields["min_distance_m"] < 1.0:
        fields["shadowing_db"] = 0.0
    return cbf.Params(**fields)


def actions_of(params, envs, seed, kind):
    """Legal actions: random, silent or at the corners of the space."""
    rng = np.random.default_rng(seed)
    k = params.num_agents
    if params.action == "codebook":
        top = {"random": params.num_actions, "silent": 1, "extreme": 2}[kind]
        return rng.integers(0, top, (envs, k)) * (params.num_actions - 1 if top == 2 else 1)
    actions = random_actions(rng, params, envs)
    return {"random": actions, "silent": 0 * actions, "extreme": np.sign(actions)}[kind]


any_actions = st.sampled_from(["random", "silent", "extreme"])
seeds = st.integers(0, 2**31)


@settings(max_examples=60, deadline=None)
@given(params=every_params(), kind=any_actions, seed=seeds)
def test_any_parameters_keep_to_spaces_and_bounds(params, kind, seed):
    """No NaN, observations in their space, beams within power, rewards below rates."""
    generators = rngs(2, seed)
    state = cbf.reset(params, generators)
    low, high = cbf.observation_space(params).low, cbf.observation_space(params).high
    for step in range(2):
        actions = actions_of(params, 2, seed + step, kind)
        before, state = state, cbf.transition(params, state, actions, generators)
        rewards = cbf.reward(params, before, actions, state)
        obs, table = cbf.observe(params, state), cbf.neighbours(params, state)
        assert obs.shape == (2, params.num_agents, cbf.spec(params).obs_dim)
        assert obs.dtype == np.float32
        assert (obs >= low).all()
        assert (obs <= high).all()
        assert np.isfinite(rewards).all()
        assert np.isfinite(cbf.global_state(params, state)).all()
        assert (state.caused_loss >= -1e-9 * (1 + state.rate.max())).all()
        assert (rewards <= state.rate + 1e-4).all()
        assert (state.interference_plus_noise >= 1.0).all()
        power = (np.abs(state.beamformer) ** 2).sum(-1)
        assert (power <= 1 + 1e-5).all()
        assert ((table >= -1) & (table < params.num_agents)).all()
        assert (table != np.arange(params.num_agents)[:, None]).all()
        assert [f.shape for f in cbf.metrics(params, state).values()] == [
            rewards.shape,
            rewards.shape,
            (*rewards.shape, 2 * params.antennas),
        ]
        if kind == "silent":
            assert (state.rate == 0).all()
            assert (rewards == 0).all()
            assert (state.interference_plus_noise == 1.0 + state.rest).all()


@settings(max_examples=40, deadline=None)
@given(params=every_params(), kind=any_actions, seed=seeds, others=st.integers(1, 3))
def test_any_batch_is_exactly_its_members(params, kind, seed, others):
    """Bit for bit, at every size and option."""
    batch, alone = rngs(1 + others, seed), rngs(1, seed + others)
    many, one = cbf.reset(params, batch), cbf.reset(params, alone)
    for step in range(2):
        actions = actions_of(params, 1 + others, seed + step, kind)
        many = cbf.transition(params, many, actions, batch)
        one = cbf.transition(params, one, actions[-1:], alone)
    for f in fields(cbf.State):
        np.testing.assert_array_equal(
            getattr(many, f.name)[-1:], getattr(one, f.name), err_msg=f.name
        )
    np.testing.assert_array_equal(cbf.observe(params, many)[-1:], cbf.observe(params, one))


def rounding(state, params):
    """What a loss may be off by: it takes powers from sums, in double precision."""
    others = np.where(np.eye(params.num_agents, dtype=bool), 0.0, state.gain).sum(axis=-1)
    return 1e-14 * float(others.max()) * params.antennas * 10


@settings(max_examples=40, deadline=None)
@given(params=every_params(), seed=seeds)
def test_any_reward_of_all_others_is_the_difference_reward(params, seed):
    """With U = K - 1: the sum rate, minus what it would be if the cell kept silent."""
    k = params.num_agents
    params = replace(params, neighbours=k - 1, max_links=None)
    generators = rngs(1, seed)
    state = cbf.reset(params, generators)
    actions = actions_of(params, 1, seed, "random")
    after = cbf.transition(params, state, actions, rngs(1, 3))
    rewards = cbf.reward(params, state, actions, after)
    for agent in {0, k // 2, k - 1}:
        silent = actions.copy()
        silent[:, agent] = 0
        without = cbf.transition(params, state, silent, rngs(1, 3))
        assert without.rate[0, agent] == 0
        np.testing.assert_allclose(
            rewards[0, agent],
            (after.rate - without.rate).sum(),
            rtol=2e-5,
            atol=2e-4 + rounding(state, params),
        )


@settings(max_examples=40, deadline=None)
@given(params=every_params(), seed=seeds)
def test_any_relabelling_of_the_cells_permutes_the_outcome(params, seed):
    """Rates, losses and measurements follow the agents; ties in gain aside there are none."""
    params = replace(params, max_links=None, user_speed_mps=0.0)
    k = params.num_agents
    order = np.random.default_rng(seed).permutation(k)
    place = np.argsort(order)  # the new index of a cell
    state = cbf.reset(params, rngs(1, seed))
    if params.observation == "ge2020":
        params = replace(params, observation="angle")  # no beam depends on the cell's position
    table = state.neighbours[:, order]
    table = np.where(table >= 0, place[table], -1).astype(np.int32)
    pairs = np.ix_(order, order)
    renamed = replace(
        state,
        gain=state.gain[:, *pairs].copy(),
        phasor=state.phasor[:, :, *pairs].copy(),
        fading=state.fading[:, :, *pairs].copy(),
        neighbours=table,
        links=network.places(table),
        geometry=state.geometry[:, order],
    )
    actions = actions_of(params, 1, seed, "random")
    one = cbf.transition(replace(params, correlation=1.0), state, actions, rngs(1))
    two = cbf.transition(replace(params, correlation=1.0), renamed, actions[:, order], rngs(1))
    atol = 1e-9 + rounding(state, params)
    for name in ("rate", "caused_loss", "signal", "interference_plus_noise"):
        np.testing.assert_allclose(
            getattr(two, name), getattr(one, name)[:, order], rtol=1e-9, atol=atol, err_msg=name
        )
    if params.observation == "angle":
        np.testing.assert_allclose(
            cbf.observe(params, two), cbf.observe(params, one)[:, order], rtol=1e-5, atol=1e-6
        )
