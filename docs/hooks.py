"""What the documentation pages take from the package: facts, docstrings, presets and scores.

A page holds markers such as ``<!-- facts rb -->``. mkdocs runs `on_page_markdown`, which replaces
each marker with Markdown. What the package knows is read from it and not written by hand.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import networld_envs
from networld_envs.policies import get_policy, usable_policies
from networld_envs.policies.references import TABLE
from networld_envs.simulator import BUILT_IN, MAX_CYCLES, Simulator, about, make_params

MARKER = re.compile(
    r"^<!-- (facts|docstring|columns|face|models|presets|scores) ([\w.]+) -->$", re.MULTILINE
)
LEAD = re.compile(r"^(Action|Neighbours|Reward of an agent|Sources|Version history):(:?) ?(.*)$")
RULER = re.compile(r"^\s*=+( +=+)+\s*$")
ROOT = Path(__file__).resolve().parents[1]
UNITS = {"rate": "bit/s/Hz"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Mkdocs' hook: the page with every marker replaced."""
    return MARKER.sub(lambda match: SECTIONS[match[1]](match[2]), markdown)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def facts(task: str) -> str:
    """How the task is made, and its sizes at the default preset."""
    sim = Simulator(task, make_params(task))
    sim.seed(0)
    sim.reset()
    env = networld_envs.make(task)
    space, action = sim.observation_space, sim.action_space
    rows = [
        ("Import", f"`from networld_envs import {task}_v0`"),
        ("PettingZoo id", f"`networld/{task}_v0`, parallel and AEC"),
        ("Gymnasium id", f"`{networld_envs.gymnasium_id(task)}`, single and batched"),
        ("Agents", f"{len(sim.agents)}: `{sim.agents[0]}` .. `{sim.agents[-1]}`"),
        ("Action of an agent", f"`{_space(action)}`"),
        ("Observation of an agent", f"`{_space(space)}`, numbers in {_bounds(space)}"),
        ("Global state", f"{env.state_space.shape[0]} numbers, `env.state()`"),
        ("Neighbours", f"at most {sim.neighbours.shape[-1]} per agent, `env.neighbours`"),
        ("Episode", f"{MAX_CYCLES} steps (`max_cycles`), ended by truncation"),
        ("`infos[agent]`", ", ".join(f"`{name}`" for name in ("neighbours", *sim.metrics()))),
        ("Rendering", "`rgb_array`, and `human` with `pip install 'networld[render]'`"),
    ]
    return table(["", "at the default preset"], rows)


def _space(space: Any) -> str:
    if hasattr(space, "n"):
        return f"Discrete({space.n})"
    low, high = float(space.low.min()), float(space.high.max())
    bounds = f"{low:g}, {high:g}, " if high < 1e30 else ""
    return f"Box({bounds}{space.shape}, {space.dtype})"


def _bounds(space: Any) -> str:
    low, high = float(space.low.min()), float(space.high.max())
    return f"[{low:g}, {high:g}]" if high < 1e30 else f"[{low:g}, inf)"


def columns(task: str) -> str:
    """Every column of the default preset, as the task names it."""
    spec = networld_envs.make(task).spec
    groups = (("observation", spec.obs_columns), ("action", spec.action_columns))
    rows = [
        (what, str(i), f"`{c.name}`", c.unit, c.range)
        for what, named in groups
        for i, c in enumerate(named)
    ]
    reward = spec.reward_column
    if reward is not None:
        rows.append(("reward", "", f"`{reward.name}`", reward.unit, reward.range))
    return table(("of", "column", "name", "unit", "range"), rows)


FACE = {
    "ALGORITHMS": "Name -> (config, class) of every algorithm.",
    "TASKS": "Name -> module of every task.",
    "__version__": "Version of both packages.",
}
"""What data among the public names is; functions and classes say it themselves."""


def face(package: str) -> str:
    """The public names of a package, each with a line that says what it is."""
    module = import_module(package)
    rows = []
    for name in sorted(module.__all__, key=str.lower):
        value = getattr(module, name)
        home = getattr(value, "__module__", package)
        if name in FACE:
            rows.append((f"`{name}`", FACE[name]))
            continue
        target = value.__name__ if inspect.ismodule(value) else f"{home}.{value.__qualname__}"
        line = (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")
        rows.append((f"[`{name}`][{target}]", line))
    return table(("name", "what it is"), rows)


def presets(task: str) -> str:
    """Named parameters: what differs from the defaults, and the sizes."""
    module = networld_envs.TASKS[task]
    rows = []
    for name, params in module.PRESETS.items():
        spec = module.spec(params)
        usual = type(params)()
        changed = [
            f"`{f.name}={getattr(params, f.name)!r}`"
            for f in fields(params)
            if getattr(params, f.name) != getattr(usual, f.name)
        ]
        if type(params) is not module.Params:
            changed.insert(0, f"parameters `{type(params).__name__}`")
        rows.append(
            (
                f"`{name}`",
                ", ".join(changed) or "the defaults",
                str(spec.num_agents),
                str(spec.obs_dim),
                f"`{_space(module.action_space(params))}`",
            )
        )
    head = ["preset", "what differs from the default parameters", "agents", "observation", "action"]
    return table(head, rows)


def scores(task: str) -> str:
    """Mean rewards of the reference policies with 95% intervals, from the committed table."""
    recorded = json.loads(TABLE.read_text(encoding="utf-8"))
    parts = []
    for name in networld_envs.TASKS[task].PRESETS:
        found = recorded.get(task if name == "default" else f"{task}/{name}")
        if not found:
            continue
        usable = usable_policies(task, make_params(task, name))
        published = about(task).published.get(name, {})
        metric = next(iter(published.values()))[0] if published else "reward"
        head = ["policy", "role", "what it does", "mean reward [95% interval]"]
        head += [f"{metric}, {UNITS[metric]}"] if metric in UNITS else []
        head += ["published"] if published else []
        rows = []
        for key in (key for key in usable if key in found):
            score, policy = found[key], get_policy(task, key)
            row = [f"`{key}`", policy.role, policy.summary]
            row += [f"{score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"]
            row += [f"{score['metrics'][metric]:.2f}"] if metric in UNITS else []
            row += [f"{published[key][1]:.2f}" if key in published else ""] if published else []
            rows.append(row)
        episodes = min(score["episodes"] for score in found.values())
        settings = dict(about(task).recorded.get(name, {}))
        steps = settings.pop("max_cycles", MAX_CYCLES)
        changed = "".join(f", `{key}={value!r}`" for key, value in settings.items())
        parts.append(f"Preset `{name}`{changed}, {episodes} episodes of {steps} steps:\n")
        parts.append(table(head, rows))
    command = f"networld reference --task {task}"
    parts.append(f"Mean reward per agent and step; `{command}` measures it again.\n")
    return "\n".join(parts)


def models(folder: str) -> str:
    """What the records of the models of the package say."""
    root = ROOT / "networld_algos" / "training" / folder
    rows = []
    for file in sorted(root.glob("*/checkpoint.json")):
        about = json.loads(file.read_text(encoding="utf-8"))["extra"]
        record = about["pretrained"]
        size = sum(part.stat().st_size for part in file.parent.iterdir()) / 1e6
        rows.append(
            (
                f"`{folder}:{file.parent.name}`",
                f"`{about['dataset']}`, {about['trained_on']} episodes",
                f"{record['updates']:,}" + (" (preliminary)" if record["preliminary"] else ""),
                f"{record['score']:.1f}, before rounding {record['score_before_rounding']:.1f}",
                record["networks"],
                f"{size:.1f} MB",
            )
        )
    head = ["model", "data", "updates", "normalised score", "networks of the score", "size"]
    return table(head, rows)


def docstring(name: str) -> str:
    """A docstring as Markdown, without its lists of attributes and arguments.

    Args:
        name: A module of `networld_envs`, or the full name of a module or class of either package.
    """
    path = name if "." in name else f"networld_envs.{name}"
    package, _, last = path.rpartition(".")
    module = import_module(package if last[:1].isupper() else path)
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    classes = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == last)
    text = inspect.cleandoc(ast.get_docstring(next(classes, tree)) or "")
    return to_markdown(re.split(r"^(?:Attributes|Args):$", text, maxsplit=1, flags=re.MULTILINE)[0])


def to_markdown(text: str) -> str:
    """Markdown of the reStructuredText that our docstrings use.

    It converts headings underlined with dashes, simple tables, ``::`` before an indented block,
    lines of ``>>>``, and paragraphs that start with a name of `LEAD`, which become sections.
    Everything else is the same in both.
    """
    lines, out, i = text.split("\n"), [], 0
    while i < len(lines):
        line = lines[i]
        if i + 1 < len(lines) and line.strip() and re.fullmatch(r"-{3,}", lines[i + 1].strip()):
            out += ["", f"## {line.strip()}", ""]
            i += 2
        elif lead := LEAD.match(line):
            out += ["", f"## {lead[1]}", ""]
            rest = lead[3]
            rest = rest[:1].upper() + rest[1:] if rest[1:2].isalpha() else rest
            lines[i] = f"{rest}{lead[2] and '::'}"
        elif RULER.match(line):
            rows, i = _simple_table(lines, i)
            out += ["", *rows, ""]
        elif line.startswith(">>> "):
            start = i
            while i < len(lines) and lines[i].startswith((">>> ", "... ")):
                i += 1
            out += ["", "```python", *(code[4:] for code in lines[start:i]), "```", ""]
        elif line.rstrip().endswith("::"):
            out.append(line.rstrip()[:-1] if line.rstrip() != "::" else "")
            block, i = _indented(lines, i + 1)
            out += ["", "```text", *block, "```", ""]
        else:
            out.append(line)
            i += 1
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)) + "\n"


def _indented(lines: Sequence[str], i: int) -> tuple[list[str], int]:
    """The indented lines from ``i`` on, and where they end."""
    start = i
    while i < len(lines) and (not lines[i].strip() or lines[i].startswith(" ")):
        i += 1
    return inspect.cleandoc("\n".join(lines[start:i])).split("\n"), i


def _simple_table(lines: Sequence[str], i: int) -> tuple[list[str], int]:
    """A simple table that starts at line ``i`` as Markdown lines, and where it ends.

    A line whose first column is empty continues the row above. The table may lack a head.
    """
    starts = [match.start() for match in re.finditer(r"=+", lines[i])]
    ends = [*starts[1:], None]
    parts: list[list[list[str]]] = [[]]
    while True:
        i += 1
        if RULER.match(lines[i]):
            if len(parts) == 1 and not "".join(lines[i + 1 : i + 2]).strip():
                parts.insert(0, [[""] * len(starts)])
            if len(parts) == 2:
                break
            parts.append([])
            continue
        cells = [lines[i][a:b].strip() for a, b in zip(starts, ends, strict=True)]
        if cells[0] or not parts[-1]:
            parts[-1].append(cells)
        else:
            last = parts[-1][-1]
            parts[-1][-1] = [f"{a} {b}".strip() for a, b in zip(last, cells, strict=True)]
    (head,), rows = parts
    return table(head, [[_cell(cell) for cell in row] for row in rows]).split("\n")[:-1], i + 1


def _cell(text: str) -> str:
    """A cell of a table, with the bars outside of code escaped."""
    pieces = re.split(r"(``.*?``)", text)
    return "".join(p if p.startswith("``") else p.replace("|", r"\|") for p in pieces)


SECTIONS: dict[str, Callable[[str], str]] = {
    "facts": facts,
    "docstring": docstring,
    "columns": columns,
    "face": face,
    "models": models,
    "presets": presets,
    "scores": scores,
}


def all_scores() -> str:
    """The page ``benchmarks/REFERENCES.md``: the scores of every built-in task."""
    parts = [
        "# Reference policies\n",
        "`make references` measures all of it and writes this page.\n",
    ]
    for task in (name for name in networld_envs.TASKS if name in BUILT_IN):
        parts += [f"## `{task}`\n", scores(task)]
    return "\n".join(parts)


if __name__ == "__main__":
    print(all_scores(), end="")
