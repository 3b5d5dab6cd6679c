"""TorchRL: its wrappers of PettingZoo and Gymnasium, and its reader of Minari datasets."""

import warnings
from unittest.mock import patch

import gymnasium as gym
import numpy as np
import pytest

import networld_envs
from networld_envs.policies.rollout import Behaviour
from networld_envs.store import Recipe, build
from networld_envs.store.flatten import flatten_agents

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore:PettingZoo in TorchRL is tested:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
WHY = "TorchRL is absent: pip install 'networld[interop]'"
pytest.importorskip("torchrl", reason=WHY)
with warnings.catch_warnings():
    # TorchRL imports parts of its own that it has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from tensordict import TensorDictBase
    from torchrl.data.datasets import MinariExperienceReplay
    from torchrl.envs import GymWrapper, PettingZooWrapper
    from torchrl.envs.utils import check_env_specs

each_task = pytest.mark.parametrize("task", tuple(networld_envs.TASKS))


@each_task
def test_pettingzoo_wrapper_rolls_out_our_trajectories(task):
    env = PettingZooWrapper(networld_envs.make(task, max_cycles=8), categorical_actions=True)
    check_env_specs(env, seed=0)
    env.set_seed(3)
    data = env.rollout(20)
    ((group, agents),) = env.group_map.items()
    assert data.batch_size == (8,)  # ended by truncation
    assert data["next", "truncated"].tolist() == [[False]] * 7 + [[True]]
    own = networld_envs.make(task, max_cycles=8)
    own.reset(seed=3)
    seen, _ = own.reset()  # `set_seed` resets, and `rollout` resets again
    for t in range(8):
        for i, agent in enumerate(agents):
            np.testing.assert_array_equal(data[group, "observation"][t, i].numpy(), seen[agent])
        acts = data[group, "action"][t].numpy()
        seen, rewards, *_ = own.step(dict(zip(agents, acts, strict=True)))
        np.testing.assert_allclose(
            data["next", group, "reward"][t, :, 0].numpy(), [rewards[a] for a in agents], rtol=1e-6
        )


@each_task
def test_gym_wrapper_of_the_joint_view(task):
    env = GymWrapper(gym.make(networld_envs.gymnasium_id(task), max_cycles=5))
    check_env_specs(env, seed=0)
    data = env.rollout(20)
    assert data["observation"].shape[0] == 5
    assert data["observation"].shape[1:] == env.observation_spec["observation"].shape


@pytest.fixture
def flat(request, tmp_path, monkeypatch):
    """A small flattened dataset of a task, with 6 steps an episode."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    recipe = Recipe(f"networld/{request.param}/tiny-v0", request.param, 2, 6, 77, RANDOM)
    return flatten_agents(build(recipe), "networld/flat-v0")


RANDOM = (Behaviour("random"),)
each_flat = pytest.mark.parametrize("flat", tuple(networld_envs.TASKS), indirect=True)


@each_flat
def test_its_reader_of_minari_reads_ours(flat, tmp_path):
    """As docs/interop.md shows: `memmap_like` makes an empty copy, `memmap` a full one."""
    with patch.object(TensorDictBase, "memmap_like", TensorDictBase.memmap):
        replay = MinariExperienceReplay(
            flat.id, batch_size=16, root=tmp_path / "torchrl", load_from_local_minari=True
        )
    data, episodes = replay[:], list(flat)
    assert len(replay) == flat.total_steps
    for key, want in {
        "observation": [e.observations[:-1] for e in episodes],
        "action": [e.actions for e in episodes],
        ("next", "observation"): [e.observations[1:] for e in episodes],
        ("next", "reward"): [e.rewards[:, None] for e in episodes],
        ("next", "truncated"): [e.truncations[:, None] for e in episodes],
        "episode": [np.full(len(e), e.id) for e in episodes],
    }.items():
        np.testing.assert_array_equal(data[key].numpy(), np.concatenate(want))
    assert replay.sample()["observation"].shape == (16, *flat.observation_space.shape)
    assert replay.metadata["observation_space"].shape == flat.observation_space.shape


@pytest.mark.xfail(strict=True, reason="TorchRL 0.11.1 to 0.14.1 leave the memory map empty")
@pytest.mark.parametrize("flat", ["rb"], indirect=True)
def test_its_reader_of_minari_without_the_workaround(flat, tmp_path):
    """When this passes, the patch in docs/interop.md can go."""
    replay = MinariExperienceReplay(
        flat.id, batch_size=16, root=tmp_path / "torchrl", load_from_local_minari=True
    )
    np.testing.assert_array_equal(replay[:6]["observation"].numpy(), flat[0].observations[:-1])
