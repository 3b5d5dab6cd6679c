"""The layout of both packages: few entries at the top, one-way imports, short files.

Each rule is a function from the sources of a tree to what is wrong with it. The last tests break
every rule once, so that a rule that finds nothing has been seen to find something.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("networld_envs", "networld_algos")
MOST_ENTRIES = 20
MOST_LINES = 400
FLOORS = {
    "networld_envs": [
        ["version", "files", "validate", "spec", "physics", "render.canvas"],
        ["cbf"],
        ["rb"],
        ["ns"],
        ["compiled"],
        ["simulator"],
        ["render"],
        ["parallel", "joint", "policies"],
        ["one_agent", "cbf_v0", "rb_v0", "ns_v0"],
        ["store"],
    ],
    "networld_algos": [
        ["files", "results.display"],
        ["data"],
        ["base"],
        ["deploy.monitor"],
        ["results", "nn"],
        ["report"],
        ["bc"],
        ["ma_cql"],
        ["ma_iql"],
        ["ma_dt"],
        ["ma_dd"],
        ["networld"],
        ["registry"],
        ["plugin"],
        ["training"],
        ["deploy"],
        ["bench"],
        ["cli"],
        ["__main__"],
    ],
}
"""Houses from low to high: a module imports only from its own house and from lower floors."""
APART = (
    {"cbf", "rb", "ns"},
    {"bc", "ma_cql", "ma_iql", "ma_dt", "ma_dd", "networld"},
    {"report", "nn"},
)
"""Houses that never import each other, although one has to stand above the other in the list."""


def sources(root):
    """Module name -> text of every module of both packages below ``root``."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path.read_text()
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
    }


def imports(text, known):
    """Modules that a module imports: nested and ``TYPE_CHECKING`` imports count.

    ``from package import module`` is an import of the module, ``from package import name`` one of
    the package's own file.
    """
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(inner & known.keys())
            if inner - known.keys():
                found.add(node.module or "")
    return found


def graph(known):
    """Module -> modules of the same tree that it imports."""
    return {name: (imports(text, known) & known.keys()) - {name} for name, text in known.items()}


def too_many_entries(root):
    found = {}
    for package in PACKAGES:
        entries = [p for p in (root / package).iterdir() if p.name != "__pycache__"]
        if len(entries) > MOST_ENTRIES:
            found[package] = len(entries)
    return found


def too_long(known):
    """Long modules whose docstring does not say why ("This file is long ...")."""
    found = {}
    for name, text in known.items():
        lines = len(text.splitlines())
        why = ast.get_docstring(ast.parse(text)) or ""
        if lines > MOST_LINES and "This file is long" not in why:
            found[name] = lines
    return found


def circles(known):
    """Modules that are left when those without imports are taken away again and again."""
    rest = graph(known)
    while leaves := {name for name, found in rest.items() if not found & rest.keys()}:
        rest = {name: found for name, found in rest.items() if name not in leaves}
    return set(rest)


def imports_of_own_face(known):
    """Modules that import the package, or house, that they are inside of."""
    return {
        (name, face)
        for name, found in graph(known).items()
        for face in found
        if name.startswith(f"{face}.") and name != face
    }


def floor(name):
    """Package, house and floor of a module; the longest prefix counts."""
    package, _, rest = name.partition(".")
    houses = [
        (house, level)
        for level, floor_ in enumerate(FLOORS[package])
        for house in floor_
        if rest == house or rest.startswith(f"{house}.")
    ]
    assert houses, f"{name} stands in no house of FLOORS"
    return package, *max(houses, key=lambda item: len(item[0]))


def upward(known):
    """Imports from a higher floor, or between houses that stand apart."""
    found = set()
    for name, others in graph(known).items():
        if name in PACKAGES:  # the faces gather everything
            continue
        package, house, level = floor(name)
        for other in others:
            if other in PACKAGES:
                if package == other or package == "networld_envs":
                    found.add((name, other))
                continue
            package2, house2, level2 = floor(other)
            if package != package2:
                if package == "networld_envs":
                    found.add((name, other))
                continue
            apart = any({house.split(".")[0], house2.split(".")[0]} <= pair for pair in APART)
            if house != house2 and (level2 > level or (apart and house != house2)):
                found.add((name, other))
    return found


def heavy_reports(known):
    """What modules of the report reach, at any distance, beyond what they may load."""
    edges, heavy = graph(known), re.compile(r"networld_envs|torch|gymnasium|pettingzoo|minari")
    reached, todo = set(), {name for name in known if name.startswith("networld_algos.report")}
    while todo:
        name = todo.pop()
        reached.add(name)
        todo |= edges[name] - reached
    outside = {n for name in reached for n in imports(known[name], known)}
    return {name for name in outside | reached if heavy.match(name)}


RULES = {
    "entries": lambda root: too_many_entries(root),
    "length": lambda root: too_long(sources(root)),
    "circles": lambda root: circles(sources(root)),
    "face": lambda root: imports_of_own_face(sources(root)),
    "floors": lambda root: upward(sources(root)),
    "report": lambda root: heavy_reports(sources(root)),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_packages_keep_every_rule(rule):
    assert not RULES[rule](ROOT)


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


TREE = {
    "networld_envs/__init__.py": "from networld_envs.simulator import Simulator\n",
    "networld_envs/spec.py": "",
    "networld_envs/simulator.py": "from networld_envs import spec\nclass Simulator: ...\n",
    "networld_algos/__init__.py": "",
    "networld_algos/results/rows.py": "",
    "networld_algos/report/__init__.py": "",
    "networld_algos/report/page.py": "from networld_algos.results import rows\n",
}
BROKEN = {
    "entries": {f"networld_envs/m{i}.py": "" for i in range(MOST_ENTRIES)},
    "length": {"networld_envs/spec.py": "\n" * (MOST_LINES + 1)},
    "circles": {  # one import inside a function, the other for type checkers
        "networld_envs/spec.py": "def f():\n    from networld_envs import simulator\n",
        "networld_envs/simulator.py": (
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from networld_envs.spec import Spec\n"
            "class Simulator: ...\n"
        ),
    },
    "face": {"networld_envs/spec.py": "from networld_envs import Simulator\n"},
    "floors": {"networld_envs/spec.py": "from networld_envs.simulator import Simulator\n"},
    "report": {"networld_algos/results/rows.py": "def f():\n    import torch\n"},
}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_can_fail(rule, tmp_path):
    write(tmp_path, TREE)
    assert not RULES[rule](tmp_path)
    write(tmp_path, BROKEN[rule])
    assert RULES[rule](tmp_path)


def test_other_ways_to_break_the_floors(tmp_path):
    for files in (
        {
            "networld_envs/cbf/task.py": "from networld_envs.rb import task\n",
            "networld_envs/rb/task.py": "",
        },
        {"networld_envs/spec.py": "import networld_algos\n"},
        {
            "networld_algos/bc.py": "",
            "networld_algos/ma_iql.py": "from networld_algos.bc import BC\n",
        },
    ):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        write(root, {**TREE, **files})
        assert upward(sources(root)), files


def test_a_long_file_may_say_why(tmp_path):
    text = (
        '"""Loops.\n\nThis file is long because numba wants them in one module.\n"""\n' + "\n" * 500
    )
    write(tmp_path, {**TREE, "networld_envs/spec.py": text})
    assert not too_long(sources(tmp_path))


def test_the_environments_do_not_even_mention_the_algorithms():
    known = sources(ROOT)
    assert not [n for n in known if n.startswith("networld_envs") and "networld_algos" in known[n]]


def test_every_module_stands_in_a_house():
    for name in sources(ROOT):
        if name not in PACKAGES:
            floor(name)
