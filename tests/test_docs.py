"""Every Python snippet in the README and the documentation runs; every command it names exists."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from networld_algos import cli
from networld_envs import store

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
OTHERS = r"^(?:from|import) (torchrl|tensordict|supersuit|stable_baselines3|d3rlpy|ray)\b"


def fences(language):
    return [
        pytest.param(
            match[2],
            id=f"{page.relative_to(ROOT)}:{number}",
            marks=[pytest.mark.interop] if re.search(OTHERS, match[2], re.MULTILINE) else [],
        )
        for page in PAGES
        for number, match in enumerate(FENCE.finditer(page.read_text()))
        if match[1] == language
    ]


@pytest.fixture(scope="module")
def small_store(tmp_path_factory):
    """Datasets of the catalogue, with few episodes."""
    root = tmp_path_factory.mktemp("minari")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(root))
        for dataset_id, recipe in store.catalog().items():
            if dataset_id.endswith(("random-v0", "expert-v0")):
                store.build(replace(recipe, episodes=10))
    return root


@pytest.mark.parametrize("code", fences("python"))
def test_snippets_run(code, tmp_path, small_store):
    for library in re.findall(OTHERS, code, re.MULTILINE):
        if not find_spec(library):
            extra = "rllib" if library == "ray" else "interop"
            pytest.skip(f"{library} is absent: pip install 'networld[{extra}]'")
    environment = {
        **os.environ,
        "MINARI_DATASETS_PATH": str(small_store),
        "OMP_NUM_THREADS": "1",
    }
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    out = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0, out.stderr


@pytest.mark.parametrize("text", fences("console"))
def test_commands_exist(text, capsys):
    makefile = (ROOT / "Makefile").read_text()
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line
        elif words[0] == "networld":
            own = {word for word in words if word.startswith("examples/")}
            assert all((ROOT / word.split(":")[0]).is_file() for word in own), line
            verbs = [w for w in words[1:3] if re.fullmatch(r"[a-z-]+", w)]
            verbs += ["bc"] if words[1] == "train" and own else []
            if verbs[0] in ("reference", "render", "evaluate", "health", "report"):
                verbs = verbs[:1]
            with pytest.raises(SystemExit) as stop:
                cli.main([*verbs, "--help"])
            assert stop.value.code == 0, line
            options = re.findall(r"--[a-z-]+", line)
            helped = capsys.readouterr().out
            for option in options:
                assert option in helped or option == "--help", f"{option} of: {line}"


def test_pages_link_to_files_that_exist():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_no_package_imports_itself_in_a_circle():
    """Imports go one way: drawing the graph of both packages leaves no cycle."""
    graph = {}
    for package in ("networld_envs", "networld_algos"):
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            text = path.read_text()
            top = re.findall(
                r"^(?:from|import) (networld_\w+(?:\.\w+)*)(?: import (.*))?", text, re.M
            )
            found = set()
            for module, names in top:
                found.add(module)
                found.update(f"{module}.{n.strip()}" for n in (names or "").split(","))
            graph[name.removesuffix(".__init__")] = found
    graph = {name: {i for i in found if i in graph} for name, found in graph.items()}
    # A package's __init__ gathers its modules; what matters is that modules do not need it back.
    for package in ("networld_envs", "networld_algos", "networld_envs.policies"):
        graph[package] = set()
    while leaves := {name for name, found in graph.items() if not found & graph.keys()}:
        graph = {name: found for name, found in graph.items() if name not in leaves}
    assert not graph
    algos = [p.read_text() for p in (ROOT / "networld_envs").rglob("*.py")]
    assert not any("networld_algos" in text for text in algos)
