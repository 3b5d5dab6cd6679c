"""Test NetWorld with the oldest and the newest versions of its dependencies, for several Pythons.

    python tools/versions.py [--python 3.11 3.12 3.13] [--bound lowest highest] [--torch VERSION]

For each Python that uv finds on this machine, and each bound, it makes a temporary environment with
the oldest or newest releases that pyproject.toml permits and that exist as wheels for that Python,
runs a part of the tests in it, and removes it. Releases are chosen by uv (extra ``release``).
``--torch VERSION`` takes one version of torch everywhere, for example that of a build for CPUs, and
``--torch none`` leaves it out, which is most of the download, and runs only the tests of
`networld_envs`. The exit status is 1 if a test fails or an environment cannot be made; Pythons that
are missing are listed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
BOUNDS = ("lowest", "highest")
EXTRAS = ("render", "tables", "tune")
"""Extras whose bounds are checked as well."""
TOOLS = ("pytest>=8.3", "pytest-xdist>=3.6", "hypothesis>=6.112")
TORCH = ("torch", "safetensors")
NEED_TORCH = ("tests/envs/test_imports.py", "tests/envs/test_user_task.py")
TOY = "not outside_of_the_package"  # tests with a fixture that needs torch
ENVIRONMENTS = ("tests/envs", "--noconftest", "-k", TOY, *(f"--ignore={p}" for p in NEED_TORCH))
BOTH = (
    "tests/envs",
    "tests/nn",
    "tests/algorithms/test_registry.py",
    "tests/store",
    "tests/cli",
    "tests/report",
    "tests/training",
)
FAST = "not slow and not network and not gpu and not interop"
SHOWN = ("numpy", "scipy", "gymnasium", "pettingzoo", "minari", "h5py", "tyro", "torch")


def uv(*arguments: str, capture: bool = False) -> str:
    """Run uv; returns its output if it is captured."""
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments],
        cwd=ROOT,
        check=True,
        text=True,
        stdout=subprocess.PIPE if capture else None,
    )
    return done.stdout or ""


def is_installed(python: str) -> bool:
    """Whether uv finds an interpreter on this machine."""
    found = subprocess.run(
        [sys.executable, "-m", "uv", "python", "find", "--no-python-downloads", python],
        capture_output=True,
    )
    return found.returncode == 0


def dependencies(torch: str | None) -> list[str]:
    """Requirements of pyproject.toml with `EXTRAS`; ``torch`` as `main` takes it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for name in EXTRAS for line in extras[name])]
    if torch == "none":
        return [line for line in lines if not line.startswith(TORCH)]
    return lines if torch is None else [*lines, f"torch=={torch}"]


def check(python: str, bound: str, torch: str | None) -> bool:
    """Make an environment and run tests in it; returns whether they pass."""
    print(f"== Python {python}, {bound} versions", flush=True)
    with tempfile.TemporaryDirectory(prefix="networld-") as folder:
        uv("venv", "--quiet", "--no-python-downloads", "--python", python, f"{folder}/venv")
        program = f"{folder}/venv/bin/python"
        to = ("--quiet", "--python", program)
        # What tests need is not part of what is tested, so it is as new as possible.
        resolution = "lowest-direct" if bound == "lowest" else "highest"
        wheels = ("--only-binary", ":all:")
        uv("pip", "install", *to, *wheels, "--resolution", resolution, *dependencies(torch))
        kept = Path(folder) / "kept.txt"
        kept.write_text(uv("pip", "freeze", "--python", program, capture=True))
        uv("pip", "install", *to, *wheels, "--constraint", str(kept), *TOOLS)
        uv("pip", "install", *to, "--no-deps", "--editable", str(ROOT))
        listed = json.loads(
            uv("pip", "list", "--python", program, "--format", "json", capture=True)
        )
        found = {package["name"]: package["version"] for package in listed}
        print("  " + ", ".join(f"{k} {found[k]}" for k in SHOWN if k in found), flush=True)
        tests = ENVIRONMENTS if torch == "none" else BOTH
        command = [
            program,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-n",
            "auto",
            "-m",
            FAST,
            # Newer packages that old ones depend on may deprecate what these use.
            *(["-W", "default::DeprecationWarning"] if bound == "lowest" else []),
            *tests,
        ]
        done = subprocess.run(command, cwd=ROOT)
    print(f"   {'passed' if done.returncode == 0 else 'FAILED'}", flush=True)
    return done.returncode == 0


def main(arguments: list[str]) -> int:
    """Check every combination that this machine has; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--python", nargs="+", default=PYTHONS, metavar="X.Y")
    parser.add_argument("--bound", nargs="+", default=BOUNDS, choices=BOUNDS)
    parser.add_argument("--torch", metavar="VERSION", help="or none")
    given = parser.parse_args(arguments)
    passed: dict[str, bool] = {}
    missing = [python for python in given.python if not is_installed(python)]
    for python in (python for python in given.python if python not in missing):
        for bound in given.bound:
            try:
                ok = check(python, bound, given.torch)
            except subprocess.CalledProcessError as error:
                print(f"   FAILED: {error}", flush=True)
                ok = False
            passed[f"Python {python}, {bound}"] = ok
    for name, ok in passed.items():
        print(f"{name}: {'passed' if ok else 'FAILED'}")
    if missing:
        print(f"not tested, because they are not installed: Python {', '.join(missing)}")
    return 0 if passed and all(passed.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
