"""Compiled loops: the same bits as NumPy, and NumPy where they cannot be used."""

import importlib
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium.spaces import Discrete

import networld_envs
from networld_envs import cbf, compiled, ns, rb
from networld_envs.compiled import same_array, same_state
from networld_envs.simulator import Simulator, make_params

CASES = {
    "cbf": ("cbf", {}),
    "cbf-csi": ("cbf", {"observation": "csi"}),
    "cbf-moving": ("cbf", {"user_speed_mps": 3.0}),
    "cbf-links": ("cbf", {"rings": 3, "max_links": 12}),
    "cbf-links-moving": ("cbf", {"max_links": 9, "user_speed_mps": 3.0}),
    "cbf-cap": ("cbf", {"sinr_cap_db": 15.0, "wrap_around": True}),
    "cbf-one-antenna": ("cbf", {"antennas": 1, "paths": 1}),
    "cbf-many-antennas": ("cbf", {"antennas": 13, "paths": 5, "neighbours": 11}),
    "cbf-padded": ("cbf", {"rings": 1, "neighbours": 9}),
    "cbf-no-neighbours": ("cbf", {"neighbours": 0}),
    "cbf-one-cell": ("cbf", {"rings": 0}),
    "rb": ("rb", {}),
    "rb-ring": ("rb", {"preset": "ring6"}),
    "rb-large": ("rb", {"preset": "nodes96", "conflict": 1.0}),
    "rb-cdmp": ("rb", {"preset": "cdmp"}),
    "rb-edges": ("rb", {"topology": "edges", "edges": ((0, 1), (1, 2)), "num_clusters": 4}),
    "rb-many-nodes": (
        "rb",
        {"nodes_per_cluster": 16, "load": 3.0, "buffer": 7, "initial_backlog": 3},
    ),
    "rb-one-node": ("rb", {"nodes_per_cluster": 1, "conflict": 0.0}),
    "rb-one-cluster": ("rb", {"num_clusters": 1, "burst_flip": 1.0}),
    "ns": ("ns", {}),
    "ns-hotspots": ("ns", {"preset": "hotspots"}),
    "ns-deadlines": ("ns", {"deadlines_ms": (1, 3, 20), "sub_slots": 37, "load": 1.5}),
    "ns-beyond-the-tables": ("ns", {"load": 40.0, "rings": 1, "sub_slots": 12}),
    "ns-no-demand": ("ns", {"load": 0.0, "deadlines_ms": (1, 1, 1), "rings": 0}),
}


@pytest.fixture
def forget():
    """Loops are chosen anew, before and after the test."""
    chosen = compiled._module, compiled._agree
    for cache in chosen:
        cache.cache_clear()
    yield
    for cache in chosen:
        cache.cache_clear()


@pytest.fixture
def wanted(monkeypatch):
    """Loops are not switched off where the tests run."""
    monkeypatch.delenv(compiled.VARIABLE, raising=False)


@pytest.fixture
def numba(wanted):
    return pytest.importorskip("numba", reason="needs the extra [fast]")


def some_actions(simulator, draw, step):
    """Random ones; now and then some agents do nothing, or all ask for the most."""
    space = simulator.action_space
    shape = (simulator.num_envs, simulator.spec.num_agents, *space.shape)
    if isinstance(space, Discrete):
        high = space.n - 1
        actions = draw.integers(0, 4 if step % 4 == 2 else high + 1, shape)  # some fit in a frame
    else:
        high = space.high
        actions = draw.uniform(space.low, high, shape).astype(np.float32)
    if step % 4 == 1:
        actions[:, ::2] = 0
    if step % 4 == 3:
        actions[:] = high
    return actions


def pair(task, params, envs, monkeypatch):
    """Simulators with compiled loops and without them, alike in all else."""
    fast, plain = (Simulator(task, params, envs) for _ in range(2))
    with monkeypatch.context() as patch:
        patch.setenv(compiled.VARIABLE, "0")
        assert not plain.loops.compiled
    for simulator in (fast, plain):
        simulator.seed(11)
        simulator.reset()
    return fast, plain


@pytest.mark.interop
@pytest.mark.parametrize("envs", [1, 2, 5])
@pytest.mark.parametrize("name", CASES)
def test_the_same_trajectory_to_the_bit(name, envs, numba, monkeypatch):
    task, kwargs = CASES[name]
    fast, plain = pair(task, make_params(task, **kwargs), envs, monkeypatch)
    assert fast.loops.compiled or name == "cbf-one-cell"
    draw = np.random.default_rng(3)
    for step in range(12):
        actions = some_actions(fast, draw, step)
        one, other = fast.step(actions), plain.step(actions)
        assert same_state(fast.state, plain.state)
        assert same_array(one.obs, other.obs)
        assert same_array(one.rewards, other.rewards)
    for one, other in zip(fast.rngs, plain.rngs, strict=True):
        assert one.bit_generator.state == other.bit_generator.state


@pytest.mark.interop
@pytest.mark.parametrize("task", ["cbf", "rb", "ns"])
def test_some_environments_of_a_batch(task, numba, monkeypatch):
    fast, plain = pair(task, make_params(task), 4, monkeypatch)
    assert fast.loops.compiled
    draw = np.random.default_rng(4)
    for step in range(6):
        actions, only = some_actions(fast, draw, step), draw.random(4) < 0.5
        seen = [simulator.step(actions, only=only).obs for simulator in (fast, plain)]
        assert same_array(*seen)
        seen = [simulator.reset(~only) for simulator in (fast, plain)]
        assert same_array(*seen)


@pytest.mark.interop
@pytest.mark.parametrize("task", ["cbf", "rb", "ns"])
def test_one_compilation_serves_all(task, numba):
    """No layout of the arrays that a simulator holds makes numba compile again."""
    for kwargs in (kwargs for name, kwargs in CASES.values() if name == task):
        simulator = Simulator(task, make_params(task, **kwargs), 3)
        simulator.reset()
        draw = np.random.default_rng(0)
        for step in range(2):
            simulator.step(some_actions(simulator, draw, step))
            simulator.reset(np.array([False, True, False]))
    kernels = importlib.import_module(f"networld_envs.{task}.kernels")
    counts = {n: len(f.signatures) for n, f in vars(kernels).items() if hasattr(f, "signatures")}
    counts.pop("row_sum", None)  # of float32 and of float64
    assert set(counts.values()) <= {0, 1}, counts


@pytest.mark.interop
def test_a_seeded_environment_is_the_same_through_pettingzoo(numba, monkeypatch):
    rewards = []
    for value in ("1", "0"):
        monkeypatch.setenv(compiled.VARIABLE, value)
        env = networld_envs.make("ns", max_cycles=5)
        env.reset(seed=2)
        for i, agent in enumerate(env.agents):
            env.action_space(agent).seed(i)
        while env.agents:
            actions = {agent: env.action_space(agent).sample() for agent in env.agents}
            rewards.append(env.step(actions)[1])
        assert env.simulator.loops.compiled == (value == "1")
    assert rewards[:5] == rewards[5:]


@pytest.mark.interop
def test_numba_is_loaded_by_the_first_step(numba):
    """Not by importing the package, nor by making and resetting an environment."""
    code = """if True:
        import sys, numpy, networld_envs
        env = networld_envs.make_vec("ns", 1)
        env.reset(seed=0)
        before = "numba" in sys.modules
        env.step(numpy.zeros((1, 19, 3), numpy.float32))
        print(before, "numba" in sys.modules)
    """
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_numpy_where_numba_is_missing(wanted, forget, monkeypatch):
    for name in ("cbf.compiled", "cbf.kernels"):
        monkeypatch.delitem(sys.modules, f"networld_envs.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)  # importing it raises ImportError
    simulator = Simulator("cbf", make_params("cbf"))
    simulator.reset()
    simulator.step(np.zeros((1, 19, 8), np.float32))
    assert simulator.loops == (cbf.transition, cbf.observe, False)


def test_numpy_where_the_environment_says_so(monkeypatch):
    monkeypatch.setenv(compiled.VARIABLE, "0")
    assert compiled.loops(ns, make_params("ns")) == (ns.transition, ns.observe, False)


@pytest.mark.parametrize(
    ("task", "kwargs"),
    [
        (rb, {"nodes_per_cluster": 17}),
        (ns, {"preset": "hua2019"}),
        (cbf, {"preset": "ge2020"}),
        (cbf, {"action": "codebook"}),
        (cbf, {"reward_set": "power"}),
    ],
)
def test_numpy_for_what_is_not_compiled(task, kwargs, wanted):
    params = make_params(task.NAME, **kwargs)
    assert compiled.loops(task, params) == (task.transition, task.observe, False)


@pytest.mark.parametrize("rounds_otherwise", [False, True])
def test_numpy_where_the_bits_differ(rounds_otherwise, wanted, forget, monkeypatch):
    """The last bit of one entry is enough."""

    def transition(params, state, actions, rngs):
        after = cbf.transition(params, state, actions, rngs)
        if rounds_otherwise:
            after.fading.view(np.int32)[0, 0, 0, 0] ^= 1
        return after

    module = SimpleNamespace(transition=transition, observe=cbf.observe, covers=lambda params: True)
    monkeypatch.setattr(compiled, "_module", lambda task: module)
    assert compiled.loops(cbf, make_params("cbf")).compiled != rounds_otherwise


def test_numpy_where_numba_does_not_compile(wanted, forget, monkeypatch):
    class TypingError(Exception):
        """Stands for numba's own."""

    TypingError.__module__ = "numba.core.errors"

    def transition(*args):
        raise TypingError("cannot determine the type")

    module = SimpleNamespace(transition=transition, observe=cbf.observe, covers=lambda params: True)
    monkeypatch.setattr(compiled, "_module", lambda task: module)
    with pytest.warns(RuntimeWarning, match="NumPy runs them: cannot determine"):
        assert not compiled.loops(cbf, make_params("cbf")).compiled
