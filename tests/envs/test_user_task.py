"""A user-defined task is drawn, animated, built, benchmarked and reported like a built-in one."""

import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import networld_envs
from networld_algos.bench import Entry, Suite, run_suite
from networld_algos.cli import command
from networld_algos.results.rows import read_rows
from networld_envs import store
from networld_envs.policies.animation import animate
from networld_envs.simulator import BUILT_IN, NEEDED, TASKS, about, added_tasks

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "my_task.py"


@pytest.fixture(autouse=True)
def ring():
    before = dict(TASKS)
    yield networld_envs.add_task(EXAMPLE)
    TASKS.clear()
    TASKS.update(before)


def test_render_modes_draw_it_from_its_layout():
    env = networld_envs.make("ring", render_mode="rgb_array")
    env.reset(seed=0)
    start = env.render()
    env.step({agent: np.int64(4) for agent in env.agents})
    assert start.shape == (480, 640, 3)
    assert (start != env.render()).any()  # rewards and metrics are on it now
    batch = gym.make_vec("networld/RING-v0", num_envs=2, render_mode="rgb_array")
    batch.reset(seed=1)
    assert len(batch.render()) == 2


def test_its_own_drawing_goes_before_the_generic_one(monkeypatch):
    drawn = []
    monkeypatch.setattr(TASKS["ring"], "draw", lambda *given: drawn.append(given), raising=False)
    env = networld_envs.make("ring", render_mode="rgb_array")
    env.reset(seed=0)
    env.render()
    ((canvas, params, state),) = drawn
    assert (canvas.width, params.links, state.gain.shape) == (640, 8, (1, 8))


def test_it_is_animated_and_scored_from_the_command_line(tmp_path, capsys):
    frames = animate("ring", ("random", "expert"), steps=4)
    assert len(frames) == 2
    out = tmp_path / "ring.gif"
    options = ["--task", str(EXAMPLE), "--steps", "4"]
    assert command.main(["render", *options, "--out", str(out)]) == 0
    assert out.stat().st_size > 1000
    assert command.main(["reference", "--task", str(EXAMPLE), "--episodes", "4"]) == 0
    assert "power follows the own gain" in capsys.readouterr().out


def test_its_columns_have_names():
    spec = networld_envs.make("ring").unwrapped.spec
    assert [c.name for c in spec.obs_columns] == ["gain", "power", "power_beside", "rate"]
    env = networld_envs.make("ring")
    env.reset(seed=0)
    actions = {agent: np.int64(0) for agent in env.agents}
    with pytest.raises(ValueError, match=r"'link_3' .*power_level.* is 9, outside"):
        env.step({**actions, "link_3": np.int64(9)})


def test_it_is_benchmarked_and_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    few = store.Recipe("networld/ring/expert-v0", "ring", 6, 50, 7, store.catalog()[
        "networld/ring/expert-v0"].behaviours, chunk_episodes=3)  # fmt: skip
    store.build(few, jobs=2)  # the workers are new processes
    suite = Suite(
        name="mine",
        tasks=("ring",),
        entries=(Entry("bc", config={"hidden": 16}),),
        seeds=1,
        updates=4,
        eval_episodes=2,
    )
    outcomes = run_suite(suite, tmp_path, jobs=2)
    assert [outcome.error for outcome in outcomes] == [""] * 3
    assert {row.task for row in read_rows(tmp_path / "mine")} == {"ring"}
    assert command.main(["report", str(tmp_path / "mine")]) == 0
    page = (tmp_path / "mine" / "report" / "report.html").read_text()
    assert "RING" in page
    picture = tmp_path / "mine" / "report" / "figures" / "comparison.svg"
    assert "RING: power control" in picture.read_text()


def test_a_worker_process_gets_the_task():
    code = (
        "import sys; from networld_envs.simulator import TASKS, restore_tasks;"
        "restore_tasks({'ring': sys.argv[1]}); print('ring' in TASKS)"
    )
    found = added_tasks()
    assert found["ring"] == str(EXAMPLE)
    done = subprocess.run(
        [sys.executable, "-c", code, found["ring"]], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"


def test_what_is_no_task_is_refused(tmp_path):
    text = EXAMPLE.read_text()
    for change, said in (
        (text.replace("def layout", "def elsewhere"), "lacks layout"),
        (text.replace('"ring", "link"', '"rb", "node"'), "NAME 'rb' of a built-in task"),
        ("raise RuntimeError('broken')", "does not run: RuntimeError: broken"),
    ):
        path = tmp_path / "task.py"
        path.write_text(change)
        with pytest.raises(ValueError, match=said):
            networld_envs.add_task(path)
    with pytest.raises(ValueError, match="there is no file"):
        networld_envs.add_task(tmp_path / "absent.py")


def test_every_built_in_task_has_what_is_asked_of_one():
    for name in BUILT_IN:
        assert not [part for part in NEEDED if not hasattr(TASKS[name], part)]
        assert about(name).agent_counts
        spec = networld_envs.make(name).spec
        assert len(spec.obs_columns) == spec.obs_dim
        assert len(spec.action_columns) == spec.action_dim
