import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from networld_envs import cbf, ns, rb, render
from networld_envs.physics import radio

TASKS = {"cbf": cbf, "rb": rb, "ns": ns}


def state_of(task, seed=0, **params):
    module = TASKS[task]
    made = module.Params(**params)
    return made, module.reset(made, [np.random.default_rng(seed)])


def count(picture, colour):
    """Pixels close to a colour, for edges are smoothed; the legend left out."""
    off = np.abs(picture[: -render.FOOTER_PX].astype(int) - colour).max(axis=-1)
    return int((off < 40).sum())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", [(640, 480), (480, 360), (801, 603)])
def test_pictures_have_the_size_asked_for_and_are_not_empty(task, size):
    params, state = state_of(task)
    picture = render.draw(task, params, state, None, 0, size)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert (border == 255).all()  # nothing runs out of the picture


@pytest.mark.parametrize("task", TASKS)
def test_equal_states_give_equal_pictures_and_the_title_tells_step_and_reward(task):
    params, state = state_of(task)
    rewards = np.full(params.num_agents, -0.25)
    first = render.draw(task, params, state, rewards, 3)
    assert (first == render.draw(task, params, state, rewards, 3)).all()
    for other in (
        render.draw(task, params, state, rewards, 4),
        render.draw(task, params, state, 2 * rewards, 3),
    ):
        changed = (first != other).any(axis=(1, 2))
        assert changed.any()
        assert not changed[render.HEADER_PX :].any()


def test_bad_arguments_are_refused():
    params, state = state_of("ns")
    with pytest.raises(ValueError, match=r"unknown task 'lte'; choose from \['cbf', 'ns', 'rb'\]"):
        render.draw("lte", params, state, None, 0)
    with pytest.raises(ValueError, match=r"at least \(480, 360\), got \(100, 100\)"):
        render.draw("ns", params, state, None, 0, (100, 100))


def test_slicing_bars_show_the_allocation():
    params, state = state_of("ns")
    empty = render.draw("ns", params, state, None, 0)
    assert [count(empty, colour) for _, colour in render.SLICES] == [0, 0, 0]
    allocation = np.zeros_like(state.allocation_hz)
    allocation[..., 0], allocation[..., 2] = 0.75 * params.bandwidth_hz, 0.25 * params.bandwidth_hz
    state = replace(state, allocation_hz=allocation)
    picture = render.draw("ns", params, state, None, 1, (1280, 960))
    volte, video, urllc = (count(picture, colour) for _, colour in render.SLICES)
    assert video == 0
    assert volte / urllc == pytest.approx(3, rel=0.1)


def test_scheduling_shows_transmissions_collisions_and_drops():
    params, state = state_of("rb")
    quiet = render.draw("rb", params, state, None, 0)
    assert count(quiet, render.ORANGE) == 0
    assert count(quiet, render.HIGH_RATE) < 50  # smoothed edges only
    per = params.nodes_per_cluster
    first, other = 0, int(state.conflicts[0, 0, 0])
    grants = np.zeros_like(state.grants)
    grants[0, first * per] = params.resource_blocks
    alone = render.draw("rb", params, replace(state, grants=grants), None, 1)
    assert count(alone, render.HIGH_RATE) > 500
    assert count(alone, render.ORANGE) == 0
    grants[0, other * per] = params.resource_blocks
    both = render.draw("rb", params, replace(state, grants=grants), None, 1)
    assert count(both, render.ORANGE) > 10
    dropped = np.zeros_like(state.dropped)
    dropped[0, -1] = 1
    assert count(render.draw("rb", params, replace(state, dropped=dropped), None, 1), render.ORANGE)


def test_lobes_point_where_the_beam_is_strong():
    # Against the simulator's own steering vectors: received power of one path without spread.
    params, state = state_of("cbf", angular_spread_deg=0.0, paths=1)
    to_user = state.user_m[0] - cbf.layout(params, state)[0]
    rng = np.random.default_rng(1)
    w = radio.project_power(radio.complex_normal(rng, (params.num_agents, params.antennas)))
    radius = np.linalg.norm(render._lobes(to_user, w), axis=-1)  # (K, P)
    azimuth = 2 * np.pi * np.arange(radius.shape[1]) / radius.shape[1]
    own = radio.electrical_angle(np.arctan2(to_user[:, 1], to_user[:, 0]))
    a = radio.steering_vector(
        radio.electrical_angle(azimuth) - own[:, None], params.antennas
    )  # (K, P, n)
    expected = np.abs((a.conj() * w[:, None]).sum(-1)) ** 2 / params.antennas
    np.testing.assert_allclose(radius**2, expected, atol=1e-9)
    matched = np.full_like(w, params.antennas**-0.5)
    nearest = np.round(np.arctan2(to_user[:, 1], to_user[:, 0]) / (2 * np.pi) * len(azimuth))
    lobes = np.linalg.norm(render._lobes(to_user, matched), axis=-1)
    own_radius = lobes[np.arange(len(lobes)), nearest.astype(int) % len(azimuth)]
    assert (own_radius > 0.97).all()  # MRT has full gain toward its user
    assert lobes.max() <= 1 + 1e-9


def test_cells_touch_their_neighbours():
    centres = cbf.layout(*state_of("cbf"))[0]
    corners = render._hexagons(centres, 400.0 / np.sqrt(3.0))
    distance = np.linalg.norm(centres[1:7] - centres[0], axis=1)
    np.testing.assert_allclose(distance, 400.0)
    for k in range(1, 7):
        gaps = np.linalg.norm(corners[0][:, None] - corners[k][None], axis=-1)
        assert (gaps < 1e-6).sum() == 2  # one shared edge


def test_drawing_needs_neither_matplotlib_nor_pygame_nor_torch():
    code = (
        "import sys, networld_envs.render; "
        "print(sorted({'matplotlib', 'pygame', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
