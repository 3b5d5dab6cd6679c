r"""A table of the page in LaTeX, with the rules of the package ``booktabs``.

Names that a user chose are escaped, so that none of their characters is a command.
"""

from __future__ import annotations

from networld_algos.report.table import Cell, Table
from networld_algos.results.text import latex, one_line

PAGE_LINES = 40
"""Lines of a table that fit on a page of paper."""


def table_latex(table: Table, label: str) -> str:
    r"""The table with intervals and marks as on the page.

    It is a ``table`` environment, or a ``longtable`` over several pages with more than `PAGE_LINES`
    lines.

    Args:
        table: The table.
        label: Its ``\label``, of letters, digits, hyphens, underscores and colons.
    """
    alignment = "".join("r" if column.numeric else "l" for column in table.columns)
    heads = _line([latex(column.name) for column in table.columns])
    body = [_line([_cell(cell) for cell in cells]) for cells in table.lines]
    caption = rf"\caption{{{latex(f'{table.title}. {table.caption}')}}}"
    if len(table.lines) > PAGE_LINES:
        lines = [
            r"% Needs \usepackage{booktabs,longtable}.",
            rf"\begin{{longtable}}{{{alignment}}}",
            rf"{caption}\label{{{label}}} \\",
            *(r"\toprule", heads, r"\midrule", r"\endhead"),
            *body,
            *(r"\bottomrule", r"\end{longtable}"),
        ]
    else:
        lines = [
            r"% Needs \usepackage{booktabs}.",
            *(r"\begin{table}", r"\centering", caption, rf"\label{{{label}}}"),
            rf"\begin{{tabular}}{{{alignment}}}",
            *(r"\toprule", heads, r"\midrule"),
            *body,
            *(r"\bottomrule", r"\end{tabular}", r"\end{table}"),
        ]
    return "\n".join([*lines, ""])


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    text = latex(one_line(cell.text))
    text = rf"\textbf{{{text}}}" if cell.strong else text
    mark = rf"\textsuperscript{{{latex(cell.mark)}}}" if cell.mark else ""
    note = rf" {{\scriptsize {latex(cell.note)}}}" if cell.note else ""
    return f"{text}{mark}{note}"
