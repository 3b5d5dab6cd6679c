"""Windows of environments in human mode: copies, and several at once."""

import copy
import pickle

import gymnasium as gym
import pytest

import networld_envs


@pytest.fixture(autouse=True)
def no_screen(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")


def drawn(task="rb"):
    env = networld_envs.make(task, render_mode="human")
    env.reset(seed=0)
    return env


def act(env):
    return {agent: env.action_space(agent).sample() for agent in env.agents}


@pytest.mark.parametrize("way", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_an_environment_with_a_window_can_be_copied(way):
    env = drawn()
    env.step(act(env))
    twin = way(env)
    actions = act(env)
    ours, theirs = env.step(actions), twin.step(actions)  # each draws in a window of its own
    assert ours[1] == theirs[1]
    env.close()
    twin.step(act(twin))
    twin.close()
    way(env).close()


def test_closing_one_window_leaves_the_others():
    one, other = drawn(), drawn("ns")
    one.close()
    one.close()
    other.step(act(other))
    joint = gym.make("networld/CBF-v0", render_mode="human")
    joint.reset(seed=1)
    other.close()
    joint.step(joint.action_space.sample())
    joint.close()


@pytest.mark.parametrize("value", [1.5, "3", True, None])
def test_the_number_of_cycles_is_an_integer(value):
    with pytest.raises(TypeError, match=f"max_cycles must be an integer .*, got {value!r}"):
        networld_envs.make("rb", max_cycles=value)
    env = networld_envs.make("rb")
    with pytest.raises(TypeError, match="max_cycles must be an integer"):
        env.max_cycles = value
    with pytest.raises(ValueError, match=r"max_cycles must be an integer in .*, got 0"):
        env.max_cycles = 0


@pytest.mark.parametrize("value", [1.5, "3", True])
def test_seeds_are_integers(value):
    env, batch = networld_envs.make("rb"), networld_envs.make_vec("rb", 2)
    for reset in (lambda: env.reset(seed=value), lambda: batch.reset(seed=[0, value])):
        with pytest.raises(TypeError, match="a seed must be an integer or None"):
            reset()
    with pytest.raises(ValueError, match="a seed must be at least 0, got -1"):
        env.reset(seed=-1)
