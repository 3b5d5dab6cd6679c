"""Every Python snippet in the README and the documentation runs; every command it names exists."""

import multiprocessing
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from networld_algos.bc import BCConfig
from networld_algos.cli import command
from networld_envs.store.recipes import CATALOG_VARIABLE, reserved
from tests.helpers.catalogue import build_short

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
OTHERS = r"^(?:from|import) (torchrl|tensordict|supersuit|stable_baselines3|d3rlpy|ray)\b"


CONVERTERS = r"store\.to_(d3rlpy|torchrl)\("


def libraries(code):
    """Packages of the extra [interop] that a snippet needs, itself or through us."""
    return re.findall(OTHERS, code, re.MULTILINE) + re.findall(CONVERTERS, code)


HEAVY = r"run_suite\("  # takes more than ten seconds


def marks(code):
    other = [pytest.mark.interop] if libraries(code) else []
    return other + ([pytest.mark.slow] if re.search(HEAVY, code) else [])


def fences(language):
    return [
        pytest.param(match[2], id=f"{page.relative_to(ROOT)}:{number}", marks=marks(match[2]))
        for page in PAGES
        if page.parent.name != "tutorials"  # their blocks belong together: test_notebooks.py
        for number, match in enumerate(FENCE.finditer(page.read_text()))
        if match[1] == language
    ]


@pytest.fixture(scope="module")
def small_store(tmp_path_factory):
    """Datasets of the catalogue, with few episodes."""
    root = tmp_path_factory.mktemp("minari")
    with pytest.MonkeyPatch.context() as patch:
        # Other tests add the toy task, which is not among the reserved ids.
        ids = [i for i in reserved() if i.endswith(("random-v0", "expert-v0"))]
        build_short(patch, root, 10, *ids)
        yield {k: os.environ[k] for k in ("MINARI_DATASETS_PATH", CATALOG_VARIABLE)}


@pytest.fixture(scope="module")
def processes():
    """Makes processes that have imported what takes long to import, and nothing of ours."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "torch._dynamo", "minari"])
    return context


@pytest.mark.parametrize("code", fences("python"))
def test_snippets_run(code, tmp_path, small_store, processes):
    for library in libraries(code):
        if not find_spec({"ray": "tree"}.get(library, library)):  # RLlib needs tree, ray does not
            extra = "rllib" if library == "ray" else "interop"
            pytest.skip(f"{library} is absent: pip install 'networld[{extra}]'")
    environment = {**small_store, "OMP_NUM_THREADS": "1"}
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    before = f"""
import os, sys, torch
os.chdir({str(tmp_path)!r})
os.environ.update({environment!r})
sys.path.insert(0, "")
sys.stdout = sys.stderr = open("output.txt", "w")
torch.set_num_threads(1)
"""
    process = processes.Process(target=exec, args=(before + code, {"__name__": "__main__"}))
    process.start()
    process.join()
    assert process.exitcode == 0, (tmp_path / "output.txt").read_text()


@pytest.mark.parametrize("text", fences("console"))
def test_commands_exist(text, capsys):
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] == "torchrun":
            words = ["networld", *words[words.index("networld_algos") + 1 :]]
        if words[0] == "networld":
            check_networld(words[1:], line, capsys)
        elif words[0] == "make":
            makefile = (ROOT / "Makefile").read_text()
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line
        elif words[0] == "python" and words[1] != "-m":
            assert (ROOT / words[1]).is_file(), line
        elif words[0] == "pip":
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            for names in re.findall(r"networld\[([\w,]+)\]", line):
                assert set(names.split(",")) <= set(project["optional-dependencies"]), line
            for name in re.findall(r"--constraint (\S+)", line):
                assert (ROOT / name).is_file(), line


def check_networld(words, line, capsys):
    """Verb and options are those of the command, and files of this repository exist."""
    own = {word for word in words if word.startswith("examples/")}
    assert all((ROOT / word.split(":")[0]).is_file() for word in own), line
    verbs = words[: 2 if words[0] in ("dataset", "train", "bench") else 1]
    if verbs[0] == "train" and own:
        verbs = ["train", "bc"]
    with pytest.raises(SystemExit) as stop:
        command.main([*verbs, "--help"])
    assert stop.value.code == 0, line
    helped = capsys.readouterr().out
    for option in re.findall(r"(?<!\S)--[\w.-]+", line.split("networld", 1)[1].split(" #")[0]):
        if not line.startswith("torchrun") or option != "--nproc-per-node":
            assert option in helped or option == "--help", f"{option} of: {line}"


def test_pages_link_to_files_that_exist():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_api_pages_have_every_module_once():
    pages = sorted((ROOT / "docs" / "api").glob("*.md"))
    listed = [m for page in pages for m in re.findall(r"^::: (\S+)$", page.read_text(), re.M)]
    assert len(listed) == len(set(listed))
    commands = re.compile(
        r"networld_algos\.(cli(\.\w+)*|__main__)"
    )  # `networld --help` documents them
    assert set(listed) == {name for name in modules() if not commands.fullmatch(name)}
    nav = (ROOT / "mkdocs.yml").read_text()
    for page in sorted((ROOT / "docs").rglob("*.md")):
        assert page.relative_to(ROOT / "docs").as_posix() in nav, f"{page} is not in mkdocs.yml"


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path):
    if not (find_spec("mkdocs") and find_spec("material") and find_spec("mkdocstrings")):
        pytest.skip("mkdocs is absent: pip install 'networld[docs]'")
    out = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0, out.stderr
    page = (tmp_path / "api" / "algorithms" / "index.html").read_text()
    assert "<p>====" not in page
    assert "networld_algos.base.Algorithm" in page
    row = page.split('title="networld_algos.bc.BCConfig.decode"')[1].split("</tr>")[0]
    assert row.count(f"Default <code>{BCConfig().decode!r}</code>") == 1


def modules():
    """Every module of both packages by name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in ("networld_envs", "networld_algos")
        for path in (ROOT / package).rglob("*.py")
    }
