"""Write the table of claims into README.md and benchmarks/REPORT.md.

The table says what the committed rows show about each sentence of the paper and each aim of the
project, see `networld_algos.results.claims`. It stands between two markers, of which the first
names the folder of the rows::

    python benchmarks/claims.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

from networld_algos.report.sections.claims import checked
from networld_algos.results.claims.pages import replace_in
from networld_algos.results.claims.table import markdown_table
from networld_algos.results.display import Display
from networld_algos.results.folder import read_suite

ROOT = Path(__file__).resolve().parents[1]
ROWS = "benchmarks/results/cpu"
PAGES = (ROOT / "README.md", ROOT / "benchmarks" / "REPORT.md")


def committed_table() -> str:
    """The table of the committed rows, as Markdown."""
    suite = read_suite(ROOT / ROWS)
    return markdown_table(checked(suite.rows), (suite.display or Display()).method)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()  # there are no options; without this, --help would write the table
    table = committed_table()
    for page in PAGES:
        changed = replace_in(page, ROWS, table)
        print(f"{page.relative_to(ROOT)}: {'new table' if changed else 'no change'}")
