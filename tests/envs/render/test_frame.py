import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import networld_envs
from networld_envs import cbf, ns, rb
from networld_envs.cbf.drawing import _lobes
from networld_envs.ns.drawing import SLICES
from networld_envs.physics import radio
from networld_envs.rb.drawing import _apart
from networld_envs.render import canvas, frame
from networld_envs.render.canvas import FOOTER_PX, GREEN, HEADER_PX, ORANGE, PANEL_PX
from networld_envs.simulator import about

TASKS = {"cbf": cbf, "rb": rb, "ns": ns}


def state_of(task, seed=0, **params):
    module = TASKS[task]
    made = module.Params(**params)
    return made, module.reset(made, [np.random.default_rng(seed)])


def count(picture, colour):
    """Pixels close to a colour, for edges are smoothed; the legend left out."""
    off = np.abs(picture[:-FOOTER_PX].astype(int) - colour).max(axis=-1)
    return int((off < 40).sum())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", [(640, 480), (480, 360), (801, 603)])
def test_pictures_have_the_size_asked_for_and_are_not_empty(task, size):
    params, state = state_of(task)
    picture = frame.draw(task, params, state, None, 0, size)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert (border == 255).all()  # nothing runs out of the picture


def panel(picture):
    """Where the bars of the agents' rewards are."""
    return picture[HEADER_PX + 26 : -FOOTER_PX, -PANEL_PX:]


@pytest.mark.parametrize("task", TASKS)
def test_equal_states_give_equal_pictures_and_the_title_tells_step_and_reward(task):
    params, state = state_of(task)
    rewards = np.full(params.num_agents, about(task).reward_range[1] / 2 - 0.25)
    first = frame.draw(task, params, state, rewards, 3)
    assert (first == frame.draw(task, params, state, rewards, 3)).all()
    for other, places in (
        (frame.draw(task, params, state, rewards, 4), [False]),
        (frame.draw(task, params, state, 2 * rewards, 3), [False, True]),
    ):
        changed = (first != other).any(axis=-1)
        assert changed[:HEADER_PX].any()
        assert not changed[HEADER_PX:, :-PANEL_PX].any()
        assert changed[HEADER_PX:, -PANEL_PX:].any() in places
    assert (panel(first) != 255).any()
    assert (panel(frame.draw(task, params, state, None, 3)) == 255).all()


def test_bars_show_every_agents_reward():
    params, state = state_of("ns")
    rewards = np.zeros(params.num_agents)
    rewards[4], rewards[9] = 1.0, 0.5
    picture = panel(frame.draw("ns", params, state, rewards, 1, (1280, 960)))
    rows = (np.abs(picture.astype(int) - GREEN).max(-1) < 40).sum(axis=1)  # bar length per row
    agent = (np.arange(len(rows)) / (len(rows) - 8) * params.num_agents).astype(int)
    length = np.array([np.median(rows[agent == i]) for i in range(params.num_agents)])
    assert length[9] / length[4] == pytest.approx(0.5, abs=0.05)
    assert length[4] > 60
    assert np.delete(length, [4, 9]).max() == 0
    params, state = state_of("cbf")
    loss = np.full(params.num_agents, -3.0)
    picture = panel(frame.draw("cbf", params, state, loss, 1))
    assert (np.abs(picture.astype(int) - ORANGE).max(-1) < 40).sum() > 500
    assert (np.abs(picture.astype(int) - GREEN).max(-1) < 40).sum() == 0


def test_scale_of_rewards_follows_other_presets():
    assert frame._scale((0.0, 1.0), np.full(3, 0.9)) == (0.0, 1.0)
    assert frame._scale((0.0, 1.0), np.array([0.0, 2.0])) == (0.0, 1.0)
    for mean in (1.2, 5.0, 33.0):
        low, high = frame._scale((0.0, 1.0), np.full(3, mean))
        assert low == 0.0
        assert mean < high < 4 * mean
    assert frame._scale((-6.0, 0.0), np.full(3, -9.0))[0] < -9.0


def test_clusters_do_not_cover_one_another():
    for seed in range(20):
        params, state = state_of("rb", seed)
        heads = rb.layout(params, state)[0].reshape(params.num_clusters, -1, 2).mean(axis=1)
        drawing = canvas.Canvas((640, 480))
        moved = _apart(drawing.fit(heads, 0.1)[0], 80.0, drawing, 34.0)
        gaps = np.linalg.norm(moved[:, None] - moved, axis=-1) + 1e3 * np.eye(len(moved))
        assert gaps.min() > 74
        assert moved[:, 0].max() < 640 - PANEL_PX
    far = np.array([[100.0, 100.0], [300.0, 300.0]])
    np.testing.assert_array_equal(_apart(far, 80.0, drawing, 34.0), far)


def test_beams_that_cost_others_much_have_a_line():
    params, state = state_of("cbf")
    plain = frame.draw("cbf", params, state, None, 0)
    loss = np.zeros_like(state.caused_loss)
    loss[0, 0] = 3.0
    drawn = frame.draw("cbf", params, replace(state, caused_loss=loss), None, 0)
    changed = (plain != drawn).any(axis=-1)
    assert changed.sum() > 30
    station, victim = cbf.layout(params, state)[0][0], state.user_m[0, state.neighbours[0, 0, 0]]
    rows, columns = np.nonzero(changed)
    extent = np.array([np.ptp(columns), np.ptp(rows)]) + 1.0
    line = np.abs(victim - station)  # in metres; the picture keeps the shape
    assert extent[0] / extent[1] == pytest.approx(line[0] / line[1], rel=0.25)


def test_bad_arguments_are_refused():
    params, state = state_of("ns")
    with pytest.raises(ValueError, match=r"unknown task 'lte'; valid tasks: cbf, rb, ns"):
        frame.draw("lte", params, state, None, 0)
    with pytest.raises(ValueError, match=r"the width in size must be .* in \[480, 8192\], got 100"):
        frame.draw("ns", params, state, None, 0, (100, 100))


def test_slicing_bars_show_the_allocation():
    params, state = state_of("ns")
    empty = frame.draw("ns", params, state, None, 0)
    assert [count(empty, colour) for _, colour in SLICES] == [0, 0, 0]
    allocation = np.zeros_like(state.allocation_hz)
    allocation[..., 0], allocation[..., 2] = 0.75 * params.bandwidth_hz, 0.25 * params.bandwidth_hz
    state = replace(state, allocation_hz=allocation)
    picture = frame.draw("ns", params, state, None, 1, (1280, 960))
    volte, video, urllc = (count(picture, colour) for _, colour in SLICES)
    assert video == 0
    assert volte / urllc == pytest.approx(3, rel=0.1)


def test_scheduling_shows_transmissions_collisions_and_drops():
    params, state = state_of("rb")
    quiet = frame.draw("rb", params, state, None, 0)
    assert count(quiet, ORANGE) == 0
    assert count(quiet, canvas.HIGH_RATE) < 50  # smoothed edges only
    per = params.nodes_per_cluster
    first, other = 0, int(state.conflicts[0, 0, 0])
    grants = np.zeros_like(state.grants)
    grants[0, first * per] = params.resource_blocks
    alone = frame.draw("rb", params, replace(state, grants=grants), None, 1)
    assert count(alone, canvas.HIGH_RATE) > 500
    assert count(alone, ORANGE) == 0
    grants[0, other * per] = params.resource_blocks
    both = frame.draw("rb", params, replace(state, grants=grants), None, 1)
    assert count(both, ORANGE) > 10
    dropped = np.zeros_like(state.dropped)
    dropped[0, -1] = 1
    assert count(frame.draw("rb", params, replace(state, dropped=dropped), None, 1), ORANGE)


def test_lobes_point_where_the_beam_is_strong():
    # Against the simulator's own steering vectors: received power of one path without spread.
    params, state = state_of("cbf", angular_spread_deg=0.0, paths=1)
    to_user = state.user_m[0] - cbf.layout(params, state)[0]
    rng = np.random.default_rng(1)
    w = radio.project_power(radio.complex_normal(rng, (params.num_agents, params.antennas)))
    radius = np.linalg.norm(_lobes(to_user, w), axis=-1)  # (K, P)
    azimuth = 2 * np.pi * np.arange(radius.shape[1]) / radius.shape[1]
    own = radio.electrical_angle(np.arctan2(to_user[:, 1], to_user[:, 0]))
    a = radio.steering_vector(
        radio.electrical_angle(azimuth) - own[:, None], params.antennas
    )  # (K, P, n)
    expected = np.abs((a.conj() * w[:, None]).sum(-1)) ** 2 / params.antennas
    np.testing.assert_allclose(radius**2, expected, atol=1e-9)
    matched = np.full_like(w, params.antennas**-0.5)
    nearest = np.round(np.arctan2(to_user[:, 1], to_user[:, 0]) / (2 * np.pi) * len(azimuth))
    lobes = np.linalg.norm(_lobes(to_user, matched), axis=-1)
    own_radius = lobes[np.arange(len(lobes)), nearest.astype(int) % len(azimuth)]
    assert (own_radius > 0.97).all()  # MRT has full gain toward its user
    assert lobes.max() <= 1 + 1e-9


def test_cells_touch_their_neighbours():
    centres = cbf.layout(*state_of("cbf"))[0]
    corners = canvas.hexagons(centres, 400.0 / np.sqrt(3.0))
    distance = np.linalg.norm(centres[1:7] - centres[0], axis=1)
    np.testing.assert_allclose(distance, 400.0)
    for k in range(1, 7):
        gaps = np.linalg.norm(corners[0][:, None] - corners[k][None], axis=-1)
        assert (gaps < 1e-6).sum() == 2  # one shared edge


def test_drawing_needs_neither_matplotlib_nor_pygame_nor_torch():
    code = (
        "import sys, networld_envs.render.frame; "
        "print(sorted({'matplotlib', 'pygame', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_window_without_pygame_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)  # as if it were not installed
    env = networld_envs.make("rb", render_mode="human")
    with pytest.raises(ImportError, match=re.escape("pip install 'networld[render]'")):
        env.reset(seed=0)
