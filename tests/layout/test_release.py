"""What a release consists of: metadata, citation, forms, contents of the sdist, and publishing."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from networld_algos.cli.command import main as networld
from networld_envs.files import run_file
from networld_envs.store.recipes import reserved
from networld_envs.version import __version__
from tests.helpers.catalogue import build_short
from tests.helpers.hub import running_hub

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHONS = [
    name.rpartition(" ")[2]
    for name in PROJECT["project"]["classifiers"]
    if re.search(r"Python :: 3\.\d+$", name)
]
NOT_RELEASED = {".ci", ".gitignore"}
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(path):
    return yaml.safe_load((ROOT / path).read_text())


def test_the_version_is_the_same_everywhere():
    assert PROJECT["project"]["version"] == __version__
    assert read("CITATION.cff")["version"] == __version__


def test_the_citation_names_the_software_and_the_paper():
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license"} <= citation.keys()
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= paper.keys()
    entry = (ROOT / "docs" / "reference" / "cbf.md").read_text().split("@article{meng2026")[1]
    names = " and ".join(f"{a['family-names']}, {a['given-names']}" for a in paper["authors"])
    assert names in " ".join(entry.split())
    assert "arXiv:2602.00558" in paper["journal"]


@pytest.mark.parametrize("form", [f for f in FORMS if f.stem != "config"], ids=lambda f: f.stem)
def test_issue_forms_are_forms(form):
    about = read(form)
    assert {"name", "description", "body"} <= about.keys()
    fields = [field for field in about["body"] if field["type"] != "markdown"]
    assert fields
    assert len({field["id"] for field in fields}) == len(fields)
    for field in about["body"]:
        assert field["type"] in ("markdown", "input", "textarea", "dropdown", "checkboxes")
        wanted = "value" if field["type"] == "markdown" else "label"
        assert field["attributes"][wanted]
        for option in field["attributes"].get("options", ()):
            assert option["label"]


def test_every_python_is_tested():
    jobs = read(".github/workflows/ci.yml")["jobs"]
    assert jobs["versions"]["strategy"]["matrix"]["python"] == PYTHONS
    assert list(run_file(ROOT / "tools" / "versions.py").PYTHONS) == PYTHONS
    assert PROJECT["project"]["requires-python"] == f">={PYTHONS[0]}"
    for job in jobs.values():
        for step in job["steps"]:
            for name in re.findall(r"(?:python|bash) ([\w./]+)", step.get("run", "")):
                assert (ROOT / name).is_file(), step


def requirements():
    """(extra, requirement) of all dependencies, without references to other extras."""
    project = PROJECT["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    every = [(extra, Requirement(text)) for extra, texts in groups.items() for text in texts]
    return [(extra, found) for extra, found in every if found.name != "networld"]


def test_every_dependency_has_a_lower_bound_and_a_tested_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()[1:]
    tested = {canonicalize_name(name): version for name, version in (x.split("==") for x in lines)}
    assert len(tested) == len(lines)
    for extra, found in requirements():
        assert any(bound.operator == ">=" for bound in found.specifier), found
        if extra != "rllib":  # it needs another Gymnasium, see pyproject.toml
            assert tested[canonicalize_name(found.name)] in found.specifier, found


def test_dependencies_are_read_for_the_check_of_versions():
    read = run_file(ROOT / "tools" / "versions.py").dependencies
    assert set(read(None)) > set(PROJECT["project"]["dependencies"])
    without = {Requirement(text).name for text in read("none")}
    assert not without & {"torch", "safetensors"}
    assert "numpy" in without
    assert "torch==2.13.0" in read("2.13.0")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a checkout knows its files")
def test_the_sdist_has_every_file_of_the_repository():
    """``make demo``, the tests and the documentation run from it."""
    include = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert all(pattern.startswith("/") and (ROOT / pattern[1:]).exists() for pattern in include)
    git = ["git", "-C", str(ROOT), "ls-files", "-z"]
    listed = subprocess.run(git, capture_output=True, text=True, check=True).stdout
    top = {name.partition("/")[0] for name in listed.split("\0") if name}
    assert top - {pattern[1:] for pattern in include} == NOT_RELEASED | {"pyproject.toml"}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a checkout ignores files")
def test_no_file_of_the_packages_is_ignored_so_the_wheel_has_it():
    files = [*(ROOT / "networld_algos" / "training" / "pretrained").rglob("*.safetensors")]
    files += [*(ROOT / "networld_envs").rglob("*.json")]
    assert len(files) > 6
    command = ["git", "-C", str(ROOT), "check-ignore", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == ""


def test_the_script_of_a_release_is_valid_and_names_a_target():
    script = ROOT / "tools" / "release.sh"
    if bash := shutil.which("bash"):
        assert subprocess.run([bash, "-n", script]).returncode == 0
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z]+) \w+=", script.read_text()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("status", [0, 1])
def test_the_demo_says_how_long_it_took(status, tmp_path):
    program = tmp_path / "networld"
    program.write_text(f'#!/bin/sh\n[ "$1" = report ] || exit {status}\n')
    program.chmod(0o755)
    words = ["make", "demo", f"BIN={tmp_path}", f"READY={program}", f"RESULTS={tmp_path}"]
    outer = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}  # of `make test`
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=outer)
    assert done.stdout.splitlines()[-1].startswith("demo took 0 min ")
    assert (done.returncode != 0) == bool(status)


def test_publishing_runs_what_the_dry_run_prints(capsys, monkeypatch):
    publish = run_file(ROOT / "tools" / "publish.py")
    ran = []
    monkeypatch.setattr(publish, "networld", lambda words: ran.append(words) or 0)
    monkeypatch.setattr(publish.store, "is_local", lambda dataset_id: "/rb/" in dataset_id)
    assert publish.main(["hf://me", "--dry-run"]) == 0
    assert not ran
    printed = [shlex.split(line)[1:] for line in capsys.readouterr().out.splitlines()]
    assert {words[2] for words in printed if words[1] == "upload"} == set(reserved())
    built = {words[2] for words in printed if words[1] == "build"}
    assert built == {name for name in reserved() if "/rb/" not in name}  # the others are there
    pushed = {tuple(words[1:]) for words in printed if words[0] == "push"}
    assert pushed == {(f"pretrained:{t}", f"me/networld-{t}") for t in ("cbf", "ns", "rb")}
    verbs = {tuple(words[: 2 if words[0] == "dataset" else 1]) for words in printed}
    for verb in verbs:
        with pytest.raises(SystemExit) as stop:
            networld([*verb, "--help"])
        assert stop.value.code == 0
        assert verb != ("dataset", "upload") or "--to" in capsys.readouterr().out
    assert publish.main(["hf://me"]) == 0
    assert ran == printed


def test_publishing_stops_at_the_first_failure(capsys, monkeypatch):
    publish = run_file(ROOT / "tools" / "publish.py")
    ran = []
    monkeypatch.setattr(publish, "networld", lambda words: ran.append(words) or 3 * (len(ran) == 2))
    monkeypatch.setattr(publish.store, "is_local", lambda dataset_id: False)
    assert publish.main(["hf://me", "rb"]) == 3
    assert len(ran) == 2
    assert all("/rb/" in words[2] for words in ran)
    with pytest.raises(SystemExit):
        publish.main(["https://elsewhere"])
    assert "hf://ACCOUNT" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        publish.main(["hf://me", "rb", "nosuch"])
    assert "nothing of nosuch; tasks: cbf, " in capsys.readouterr().err


@pytest.mark.slow
def test_publishing_ends_with_datasets_and_models_that_others_can_use(tmp_path):
    """``tools/publish.py`` to its end against a Hub of this machine; then as another user."""
    pytest.importorskip("huggingface_hub", reason="absent: pip install 'networld[hub]'")
    dataset = "networld/ns/expert-v0"
    with running_hub() as hub, pytest.MonkeyPatch.context() as patch:
        build_short(patch, tmp_path, 2, dataset)  # the others of the task are built on the way
        mine = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_test"}

        def run(*command, **environment):
            own = {"HF_HOME": str(tmp_path / environment.pop("home", "home")), **environment}
            done = subprocess.run(
                [sys.executable, *command],
                cwd=ROOT,
                env=mine | own,
                capture_output=True,
                text=True,
                timeout=600,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        said = run("tools/publish.py", "hf://me", "ns")
        assert f"networld dataset upload {dataset} --to hf://me" in said
        again = run("tools/publish.py", "hf://me", "ns")  # replaces them by the same
        assert "dataset build" not in again
        ids = {name for name, recipe in reserved().items() if recipe.task == "ns"}
        stored = hub.repos["datasets/me/networld"]
        of_data = {f"{name.removeprefix('networld/')}/data/main_data.hdf5" for name in ids}
        assert of_data <= set(stored)
        assert set(json.loads(stored["namespace_metadata.json"])["namespaces"]) == {"networld/ns"}
        assert "checkpoint.json" in hub.repos["me/networld-ns"]

        theirs = {"MINARI_DATASETS_PATH": str(tmp_path / "theirs"), "home": "elsewhere"}
        networld_ = ("-m", "networld_algos")
        run(*networld_, "dataset", "download", dataset, "--from", "hf://me", **theirs)
        assert "has not changed" in run(*networld_, "dataset", "verify", dataset, **theirs)
        found = run(*networld_, "evaluate", "hf://me/networld-ns", "--episodes", "2", **theirs)
        assert "normalised score" in found
