"""Illegal values of every public argument are refused, by name, value and rule."""

import math
import re
import typing
from dataclasses import fields

import gymnasium as gym
import numpy as np
import pytest

import networld_envs
from networld_envs import rb_v0
from networld_envs.joint import JointEnv
from networld_envs.one_agent import OneAgentEnv
from networld_envs.policies.animation import animate, save
from networld_envs.policies.references import measure, reference_rewards, reference_scores
from networld_envs.policies.rollout import Behaviour, rollout
from networld_envs.render.frame import draw
from networld_envs.spec import Policy
from tests.helpers.settings import BASES, task_of

NO_NUMBER = ["3", None, [1], {}, 1j, b"1", np.zeros(3), True, np.True_]
NO_FINITE = [math.nan, math.inf, -math.inf]
NO_INTEGER = [*NO_NUMBER, *NO_FINITE, 1.5, 2.0, np.float32(2), -1, -(10**400)]
NO_WORD = ["nonsense", "", 1, None, ["rb"], b"rb", math.nan, {}]
NO_FLAG = [0, 1, None, "True", 0.5, [True], np.True_]
NO_DICTIONARY = [3, "abc", [1], True, math.nan]

each_task = pytest.mark.parametrize("task", networld_envs.TASKS)


def refused(call, value, *texts):
    """Assert that ``call(value)`` raises exactly a ValueError or TypeError with these texts."""
    try:
        with pytest.raises((ValueError, TypeError)) as raised:
            call(value)
    except pytest.fail.Exception:
        raise AssertionError(f"{value!r} was accepted") from None
    assert raised.type in (ValueError, TypeError), f"{value!r}: {raised.value!r}"
    message = str(raised.value)
    for text in texts:
        assert re.search(text, message), f"{value!r}: {text!r} not in {message!r}"
    shown = repr(value)
    assert len(shown) > 30 or shown in message, f"{value!r} not in {message!r}"


@pytest.mark.parametrize("model", BASES)
def test_every_parameter_of_a_task(model):
    """A wrong type, no number, a fraction, a value beyond the range: named, with the range."""
    base, task = BASES[model], task_of(model)
    preset = "hua2019" if model == "hua2019" else "default"
    hints = typing.get_type_hints(type(base))
    for field in fields(base):
        name, hint = field.name, hints[field.name]
        args = typing.get_args(hint)
        optional = type(None) in args
        if optional:
            hint, args = args[0], ()
        several = typing.get_origin(hint) is tuple
        kind = args[0] if several else hint
        if typing.get_origin(hint) is typing.Literal:
            bad, rule = NO_WORD, r"one of \("
        elif hint is bool:
            bad, rule = NO_FLAG, "True or False"
        elif name == "edges":
            bad, rule = [3, "ab", [1], {1: 2}, [(0, 1)], ()], "given for topology"
        else:
            low, high = base.LIMITS.get(name, (0, 1e9))
            beyond = [high * 2 + 1, 10**400, -(10**400), low - 1]
            bad, rule = (
                [*NO_NUMBER, *NO_FINITE, *beyond, *([1.5] if kind is int else [])],
                r" in \[",
            )
        bad = [value for value in bad if not (optional and value is None)]
        if several:
            default = getattr(base, name)
            bad = [*[(*default[1:], value) for value in bad], (), 1, "abc", {}]
            bad += [default + default] if args[-1] is not Ellipsis else []

        def make(value, name=name):
            networld_envs.make(task, preset=preset, **{name: value})

        for value in bad:
            refused(make, value, rf"Params\.{name} must be ", rule)


MAKERS = {
    "make": networld_envs.make,
    "make_vec": networld_envs.make_vec,
    "joint": JointEnv,
    "one_agent": OneAgentEnv,
    "parallel_env": lambda task, **given: getattr(networld_envs, f"{task}_v0").parallel_env(
        **given
    ),
    "env": lambda task, **given: rb_v0.env(**given),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_every_argument_of_the_constructors(maker):
    make = MAKERS[maker]
    for value in NO_WORD:
        if maker not in ("parallel_env", "env"):
            refused(make, value, r"task", "rb, ns")
        refused(lambda v: make("rb", preset=v), value, "preset", "cdmp")
        if value is not None and maker != "one_agent":
            refused(lambda v: make("rb", render_mode=v), value, "render_mode must be", "rgb_array")
    for value in [*NO_INTEGER, 0, 10**10]:
        refused(lambda v: make("rb", max_cycles=v), value, r"max_cycles must be an integer in \[1,")
        if maker == "make_vec":
            refused(
                lambda v: make("rb", num_envs=v), value, r"num_envs must be .* in \[1, 1e\+06\]"
            )
            if value is not None:
                refused(lambda v: make("rb", max_episode_steps=v), value, "max_episode_steps must")
        if maker == "one_agent" and (
            np.size(value) != 1 or value != 0 or isinstance(value, bool | float)
        ):
            refused(lambda v: make("rb", agent=v), value, r"agent must be .* in \[0, 23\]")
    if maker == "one_agent":
        for value in NO_WORD:
            if value is not None:
                refused(lambda v: make("rb", others=v), value, "polic")
    with pytest.raises(TypeError, match=r"no parameter 'bufer'; valid parameters: .*buffer"):
        make("rb", bufer=3)


@each_task
def test_seeds_and_options_of_every_reset(task):
    single = [networld_envs.make(task), JointEnv(task), OneAgentEnv(task)]
    single.append(gym.make(networld_envs.gymnasium_id(task)))
    batch = networld_envs.make_vec(task, 2)
    for value in (v for v in NO_INTEGER if v is not None):
        for env in single:
            refused(lambda v, e=env: e.reset(seed=v), value, "a seed must be")
        if not isinstance(value, list | np.ndarray):
            refused(lambda v: batch.reset(seed=v), value, "a seed must be")
    for value in NO_DICTIONARY:
        for env in (*single, batch):
            refused(lambda v, e=env: e.reset(options=v), value, "options must be a dictionary")
    for value in ([1], [1, 2, 3], [1, -1], [1, 1.5], [1, "2"], "12", np.zeros(2), [[1], [2]]):
        with pytest.raises((ValueError, TypeError), match="seed"):
            batch.reset(seed=value)
    for value in (3, "ab", [1, 0], [True], np.ones(3, bool), {}, True):
        with pytest.raises((ValueError, TypeError), match="reset_mask"):
            batch.reset(options={"reset_mask": value})
    for env in (*single, batch):
        env.reset(seed=np.int64(3))  # NumPy's integers are legal


@each_task
def test_actions_of_every_step(task):
    """Errors name the agent wherever one agent's action is wrong."""
    env, joint, one = networld_envs.make(task), JointEnv(task), OneAgentEnv(task, agent=1)
    batch = networld_envs.make_vec(task, 2)
    for each in (env, joint, one, batch):
        each.reset(seed=0)
    space = env.action_space(env.agents[1])
    agent, good = env.agents[1], {a: env.action_space(a).sample() for a in env.agents}
    size = space.shape[0] if space.shape else 0
    bad = ["x", None, {}, 1j, object(), [[1], [1, 2]], np.ones(9), [[1.0]], True, "1"]
    if size:
        top = float(space.high[0])
        bad += [
            np.full(size, x) for x in (math.nan, math.inf, -math.inf, 1.01 * top, 1e300, 10**400)
        ]
        bad += [np.full(size, True), np.full(size, "a"), [None] * size, np.ones(size - 1)]
    else:
        bad += [math.nan, 1.5, 2.0, -1, space.n, 10**30, 2**63, -(2**63), np.array(1.0)]
    for value in bad:
        for call in (lambda v: env.step({**good, agent: v}), one.step):
            with pytest.raises(ValueError, match=rf"action of agent '{agent}'"):
                call(value)
    for value in [*NO_DICTIONARY, None, list(good.values()), np.zeros(3)]:
        with pytest.raises(TypeError, match="actions must be a dictionary from agent to action"):
            env.step(value)
    for value in ("x", None, {}, 3, [[1], [1, 2]], np.ones((2, 3, 4, 5))):
        with pytest.raises(ValueError, match=r"actions? must (have shape|be an array)"):
            joint.step(value)
        with pytest.raises(ValueError, match=r"actions must (have shape|be an array)"):
            batch.step(value)
    text = np.full(joint.action_space.shape, "a")
    with pytest.raises(ValueError, match="dtype"):
        joint.step(text)
    env.step(good)  # nothing was lost


def test_rollouts_and_reference_scores():
    params, frames = networld_envs.make_params("rb"), [np.zeros((9, 9, 3), np.uint8)]

    def roll(**given):
        arguments = {"behaviour": Behaviour("random"), "seeds": [1], "max_cycles": 2, **given}
        rollout("rb", params, **arguments)

    for value in [*NO_INTEGER, 0]:
        refused(lambda v: roll(max_cycles=v), value, "max_cycles must be an integer")
        refused(lambda v: measure("rb", "random", v), value, "episodes must be an integer")
        refused(lambda v: measure("rb", "random", 2, batch=v), value, "batch must be an integer")
        refused(lambda v: animate("rb", steps=v), value, "steps must be an integer")
        refused(lambda v: animate("rb", every=v), value, "every must be an integer")
        if not (isinstance(value, int) and value == 0):
            refused(lambda v: roll(seeds=[v]), value, r"seeds\[0\] must be an integer")
            refused(lambda v: measure("rb", "random", 2, seed=v), value, "seed must be an integer")
            refused(lambda v: animate("rb", seed=v), value, "seed must be an integer")
    for value in (3, "12", None, [], True, math.nan):
        refused(lambda v: roll(seeds=v), value, "seeds must")
    for value in ("expert", None, 3):
        refused(lambda v: roll(behaviour=v), value, "behaviour must be a Behaviour")
    for value in (*NO_NUMBER, *NO_FINITE, -0.1, 1.1):
        refused(lambda v: Behaviour("random", v), value, r"random_share must be .* in \[0, 1\]")
    for value in (*NO_NUMBER, *NO_FINITE, 0.0, -1, 101):
        refused(lambda v: save(frames, "never.gif", v), value, r"fps must be .* in \[0.1, 100\]")
    for value in NO_WORD:
        if isinstance(value, str):
            refused(lambda v: roll(behaviour=Behaviour(v)), value, "valid policies: random")
        else:
            refused(Behaviour, value, "policy must be the name of a policy")
        refused(lambda v: reference_rewards("rb", v, [1]), value, "policy")
        refused(lambda v: reference_rewards(v, "random", [1]), value, "task")
        refused(lambda v: reference_scores("rb", v), value, "preset")
        refused(lambda v: animate("rb", policies=[v]), value, "polic")
    for value in ("expert", 3, None, {}):
        refused(lambda v: animate("rb", policies=v), value, "policies must be a list of names")


def test_sizes_of_pictures():
    env = networld_envs.make("rb", render_mode="rgb_array")
    env.reset(seed=0)
    sim = env.simulator
    for value in (3, "ab", None, (640,), (640, 480, 3), {}):
        with pytest.raises(TypeError, match="size must be a width and a height"):
            draw("rb", sim.params, sim.state, None, 0, value)
    for value in (True, 640.0, "640", None, math.nan, -1, 10**9):
        for size in ((value, 480), (640, value)):
            with pytest.raises((TypeError, ValueError), match=r"in size must be .*\d, 8192\], got"):
                draw("rb", sim.params, sim.state, None, 0, size)


def test_constructor_of_a_policy():
    def act(*given):
        return given

    for value in (None, 3, b"x", ["random"]):
        for name in ("name", "role", "summary"):
            given = {"name": "p", "role": "static", "summary": "s", name: value}
            refused(lambda v, g=given: Policy(local=act, **g), value, rf"Policy\.{name} must be")
    refused(lambda v: Policy("p", v, "s", local=act), "boss", r"Policy\.role must be one of")
    for value in (3, "act"):
        for name in ("local", "privileged", "needs"):
            given = {"local": act, name: value}
            refused(
                lambda v, g=given: Policy("p", "static", "s", **g), value, rf"Policy\.{name} must"
            )
