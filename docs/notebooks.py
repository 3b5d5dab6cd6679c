"""Notebooks from the tutorials: each page of ``docs/tutorials`` is also a Jupyter notebook.

    python docs/notebooks.py

The pages are the source. A fenced block of Python becomes a cell, and so does one of bash. Links to
other pages become plain text, because a notebook may lie anywhere. Outputs are not stored: the
tests run every notebook.
"""

from __future__ import annotations

import re
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
NOTEBOOKS = ROOT / "examples" / "notebooks"
PYTHON = """---
jupyter:
  kernelspec: {display_name: Python 3, language: python, name: python3}
---

"""  # otherwise the first fenced block sets the language
LOCAL_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]+\)")


def notebook_of(page: Path) -> str:
    """The notebook of a page as text; equal pages give equal texts."""
    text = LOCAL_LINK.sub(r"\1", page.read_text("utf-8"))
    notebook = jupytext.reads(PYTHON + text, fmt="md")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return nbformat.writes(notebook, indent=1) + "\n"


def main() -> None:
    """Write every notebook."""
    NOTEBOOKS.mkdir(parents=True, exist_ok=True)
    for page in PAGES:
        path = NOTEBOOKS / f"{page.stem}.ipynb"
        path.write_text(notebook_of(page), "utf-8")
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
