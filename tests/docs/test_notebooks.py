"""The notebooks are those of the tutorials, and every one runs from start to end."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from networld_envs.files import run_file
from networld_envs.store.recipes import CATALOG_VARIABLE
from tests.helpers.catalogue import build_short

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
DATA = ("networld/rb/expert-v0", "networld/ns/expert-v0")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Short datasets, commands of this Python, and no file of Jupyter outside the test's folder."""
    root = tmp_path_factory.mktemp("notebooks")
    with pytest.MonkeyPatch.context() as patch:
        build_short(patch, root, 12, *DATA)
        store = {name: os.environ[name] for name in ("MINARI_DATASETS_PATH", CATALOG_VARIABLE)}
    search = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    folders = {name: str(root / name.lower()) for name in own}
    return {**os.environ, **store, **folders, "PATH": search, "OMP_NUM_THREADS": "1"}


def test_every_tutorial_has_its_notebook():
    made = run_file(ROOT / "docs" / "notebooks.py")
    assert [p.stem for p in made.PAGES] == [n.stem for n in NOTEBOOKS]
    for page, notebook in zip(made.PAGES, NOTEBOOKS, strict=True):
        assert notebook.read_text() == made.notebook_of(page), (
            f"{notebook.name} is not that of the page: run python docs/notebooks.py"
        )
        fences = re.findall(r"^```(?:python|bash)$", page.read_text(), re.M)
        cells = [c for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == "code"]
        assert len(cells) == len(fences) > 3


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs(notebook, tmp_path, environment):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    run = f"""
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read({str(notebook)!r}, as_version=4)
resources = {{"metadata": {{"path": {str(tmp_path)!r}}}}}
NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
for cell in notebook.cells:
    for output in cell.get("outputs", []):
        print(output.get("text", ""), end="")
"""
    out = subprocess.run(
        [sys.executable, "-c", run], env=environment, capture_output=True, text=True, check=False
    )
    assert out.returncode == 0, out.stderr[-4000:]
    print(out.stdout)
