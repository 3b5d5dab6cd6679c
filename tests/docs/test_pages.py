"""What the documentation's pages take from the package."""

import ast
import importlib.util
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

import networld_envs
from networld_algos.bench.presets import get_suite
from networld_algos.bench.submission.leaderboard import leaderboard
from networld_envs.policies import usable_policies
from networld_envs.simulator import make_params

DOCS = Path(__file__).resolve().parents[2] / "docs"
TASKS = tuple(networld_envs.TASKS)
each_task = pytest.mark.parametrize("task", TASKS)


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(markdown):
    """Cells of every line of every table."""
    found = [line for line in markdown.split("\n") if line.startswith("|")]
    found = [re.sub(r"``.*?``", lambda code: code[0].replace("|", "!"), line) for line in found]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in found]


@each_task
def test_pages_have_everything(task, hooks):
    page = (DOCS / "reference" / f"{task}.md").read_text()
    made = hooks.on_page_markdown(page, page=None, config=None, files=None)
    assert "<!--" not in made
    assert "===" not in made.replace(" == ", "")  # no table is left in reStructuredText
    assert "::\n" not in made
    sections = re.findall(r"^#+ (\w+)", made, re.MULTILINE)
    wanted = "Model Observation Action Reward Parameters Presets Policies Version Citation"
    assert set(wanted.split()) <= set(sections)
    assert f"../assets/{task}.webp" in made
    assert "```bibtex" in made
    for name in networld_envs.TASKS[task].PRESETS:
        assert f"| `{name}` |" in made
    # Every table is whole: its lines have one number of cells.
    for block in re.findall(r"(?:^\|.*\n)+", made, re.MULTILINE):
        assert len({len(cells) for cells in rows(block)}) == 1, block


@each_task
def test_facts_are_those_of_the_environment(task, hooks):
    facts = dict(rows(hooks.facts(task))[2:])
    env = networld_envs.make(task)
    env.reset(seed=0)
    agent = env.possible_agents[0]
    assert facts["Agents"].startswith(f"{len(env.possible_agents)}: `{agent}`")
    for key, space in (
        ("Action", env.action_space(agent)),
        ("Obser", env.observation_space(agent)),
    ):
        text = next(value for name, value in facts.items() if name.startswith(key))
        assert str(getattr(space, "n", None) or space.shape) in text
    assert facts["Global state"].startswith(f"{env.state_space.shape[0]} numbers")
    names = facts["`infos[agent]`"].replace("`", "").split(", ")
    assert set(names) == set(env.reset(seed=0)[1][agent])


@each_task
def test_scores_are_the_committed_ones(task, hooks):
    recorded = json.loads(hooks.TABLE.read_text())
    text = hooks.scores(task)
    policies = {row[0].strip("`"): row for row in rows(text.split("Preset `")[1])[2:]}
    assert list(policies) == usable_policies(task, make_params(task))
    for name, score in recorded[task].items():
        numbers = [float(x) for x in re.findall(r"-?\d+\.\d+", policies[name][3])]
        assert numbers == pytest.approx([score["mean"], score["low"], score["high"]], abs=6e-4)


@each_task
def test_presets_tell_what_differs(task, hooks):
    listed = {row[0].strip("`"): row for row in rows(hooks.presets(task))[2:]}
    module = networld_envs.TASKS[task]
    assert list(listed) == list(module.PRESETS)
    for name, row in listed.items():
        params = make_params(task, name)
        usual = type(params)()
        changes = dict(re.findall(r"`(\w+)=(.*?)`(?:,|$)", row[1]))
        assert changes == {key: repr(getattr(params, key)) for key in changes}
        same = {key: getattr(params, key) for key in changes}
        assert type(params)(**same) == params
        assert bool(changes) == (params != usual)
        assert row[2] == str(params.num_agents)


def default_of(cell):
    """A default as a table of parameters writes it; ``..`` stands for numbers between."""
    words = {"none": None, "on": True, "off": False}
    scaled = re.fullmatch(r"\((.+)\)(e-?\d+)", cell)
    if scaled:
        numbers = [x.strip() for x in scaled[1].split(",")]
        return tuple(... if x == ".." else pytest.approx(float(x + scaled[2])) for x in numbers)
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return words.get(cell, cell)


@each_task
def test_tables_list_every_parameter_with_its_default(task, hooks):
    made = hooks.docstring(task)
    blocks = re.findall(r"(?:^\|.*\n)+", made, re.MULTILINE)
    tables = [rows(block)[2:] for block in blocks if block.startswith("| name | unit | default |")]
    kinds = list(dict.fromkeys(map(type, networld_envs.TASKS[task].PRESETS.values())))
    for kind, table in zip(kinds, tables, strict=True):
        assert {row[0] for row in table} == {field.name for field in fields(kind)}
        assert len(table) == len(fields(kind))
        for name, _, cell, source in table:
            told, value = default_of(cell), getattr(kind(), name)
            if isinstance(told, tuple) and ... in told:
                told, value = (told[0], told[-1]), (value[0], value[-1])
            assert told == value, name
            assert source, name


def test_conversion_of_docstrings(hooks):
    text = """Words with ``code``::

    a = b
      c

Part
----
===== =========
index of | what
===== =========
0     one
      more
1     ``|x|``
===== =========

Action: given.
Reward of an agent::

    r
"""
    want = """Words with ``code``:

```text
a = b
  c
```

## Part

| index | of | what |
| --- | --- |
| 0 | one more |
| 1 | ``|x|`` |

## Action

Given.

## Reward of an agent

```text
r
```
"""
    made = hooks.to_markdown(text).replace("of \\| what", "of | what")
    assert [line for line in made.split("\n") if line] == [x for x in want.split("\n") if x]


def test_the_committed_page_of_scores_is_the_generated_one(hooks):
    page = DOCS.parent / "benchmarks" / "REFERENCES.md"
    assert page.read_text() == hooks.all_scores(), (
        "run: python docs/hooks.py > benchmarks/REFERENCES.md"
    )


@pytest.mark.parametrize("page", ["environments", "algorithms"])
def test_the_api_pages_begin_with_the_public_names(page, hooks):
    text = (DOCS / "api" / f"{page}.md").read_text()
    made = hooks.on_page_markdown(text, page=None, config=None, files=None)
    package = importlib.import_module(re.search(r"What `import (\w+)` gives", made)[1])
    listed = {re.match(r"\[?`(\w+)`", row[0])[1]: row[1] for row in rows(made)[2:]}
    assert listed.keys() == set(package.__all__) == set(dir(package))
    assert all(len(what) > 10 for what in listed.values())


def test_the_leaderboard_is_what_the_rows_say():
    """`make leaderboard` writes it again after rows or submissions have changed."""
    root = DOCS.parent
    page = leaderboard(
        get_suite("cpu"), root / "benchmarks" / "results" / "cpu", root / "benchmarks/submissions"
    )
    assert page == (DOCS / "leaderboard.md").read_text(encoding="utf-8")
    assert "Not ranked" not in page
