"""Tables, figures and runs as files, and no text of a user that is anything else than text."""

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from networld_algos.cli.command import main
from networld_algos.report import axes, export, style, summary
from networld_algos.report.export import frame
from networld_algos.report.export.csv_table import table_csv
from networld_algos.report.export.files import names
from networld_algos.report.export.latex import PAGE_LINES, table_latex
from networld_algos.report.page import write_report
from networld_algos.report.table import Cell, Column, Table, interval_cell
from networld_algos.results import networks
from networld_algos.results.rows import write_rows
from networld_algos.results.stats import Interval, Method
from networld_algos.results.text import latex, spreadsheet
from tests.report.rows import comparison_rows, make_row, reference_rows

FORMULA = '=HYPERLINK("https://example.org";"x")'
NASTY = (
    FORMULA,
    "+1",
    "-x",
    "@SUM(A1)",
    r"\input{/etc/passwd} $x$ 50% a&b #1 _y_ ~z^2 {",
    "[2pt] *",
    'a"b',
    "``quoted'' ?` ,, << a--b---c",
    "a;b,c",
)


def some_rows(*labels):
    """The comparison on one task, with these labels beside the usual ones."""
    rows = [r for r in reference_rows(6) + comparison_rows(2, 2) if r.task == "ns"]
    more = [r for r in rows if r.label == "bc"]
    return rows + [replace(r, algorithm=n, label=n) for n in labels for r in more]


def fields(text):
    return list(csv.reader(io.StringIO(text)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory, display):
    """The page and the export of rows in which every label is nasty."""
    rows = [r for r in some_rows(*NASTY) if r.label in NASTY or r.kind == "reference"]
    folder = tmp_path_factory.mktemp("export")
    write_report(rows, folder / "page", "t", display=display, export=folder / "paper")
    return rows, folder


def test_every_table_of_the_page_is_there_as_csv_and_as_latex(exported):
    _, folder = exported
    page = json.loads((folder / "page" / "tables.json").read_text())["tables"]
    made = {p.stem for p in (folder / "paper" / "tables").glob("made_*.csv")}
    found = {p.stem for p in (folder / "paper" / "tables").glob("*.csv")}
    assert len(made) == 2
    assert len(found - made) == len(page)
    assert found == {p.stem for p in (folder / "paper" / "tables").glob("*.tex")}


def test_every_figure_is_there_as_vectors_with_embedded_truetype_fonts(exported):
    _, folder = exported
    pages = {p.stem for p in (folder / "page" / "figures").glob("*.svg")}
    files = list((folder / "paper" / "figures").iterdir())
    assert {p.stem for p in files} == pages
    for file in files:
        data = file.read_bytes()
        assert data.startswith(b"%PDF-")
        assert b"/CIDFontType2" in data  # how Matplotlib writes Type 42
        assert b"/FontFile2" in data
        assert b"/Type3" not in data
        assert b"/Subtype /Image" not in data


def test_equal_figures_give_equal_bytes(tmp_path):
    found = []
    for name in "ab":
        with style.drawing():
            figure, (ax,) = axes.grid(1, 1)
            ax.plot([1, 2])
        found.append(axes.save_pdf(figure, tmp_path, name).read_bytes())
    assert found[0] == found[1]


def test_no_field_of_a_csv_is_a_formula(exported):
    _, folder = exported
    files = list((folder / "paper").rglob("*.csv"))
    assert len(files) > 5
    seen = set()
    for file in files:
        for cell in (cell for line in fields(file.read_text()) for cell in line):
            number = re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", cell)
            assert number or cell[:1] not in tuple("=+-@\uff1d")
            seen.add(cell)
    assert f"'{FORMULA}" in seen
    assert "a;b,c" in seen


def test_every_text_of_a_csv_is_in_quotes(exported):
    """A spreadsheet that separates by semicolons would otherwise find a formula inside."""
    _, folder = exported
    for file in (folder / "paper").rglob("*.csv"):
        bare = re.sub(r'"(?:[^"]|"")*"', "", file.read_text())
        assert re.fullmatch(r"[\d.,e+\n-]*", bare)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=1+1", "'=1+1"),
        (" =1+1", "' =1+1"),
        ("@x", "'@x"),
        ("\uff0bx", "'\uff0bx"),
        ("networld (plan)", "networld (plan)"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_only_what_starts_like_a_formula_gets_an_apostrophe(text, expected):
    assert spreadsheet(text) == expected


COMMANDS = re.compile(
    r"\\(?:text(?:backslash|ascii(?:circum|tilde|grave)|less|greater|bar|bf|superscript)|char|"
    r"scriptsize|d?dag|[lg]eq|times|(?:up|down|left|right)arrow|begin|end|caption|label|centering|"
    r"(?:top|mid|bottom)rule|endhead|usepackage)(?![a-z])"
)


def unescaped(text):
    r"""What a LaTeX file shows or does beyond its escapes and the commands of the export."""
    text = re.sub(r"(?m)^% Needs .*$", "", text)
    text = re.sub(r"\\[{}$&#%_]", "", text)
    text = re.sub(r"\\\\$", "", text, flags=re.MULTILINE)
    return COMMANDS.sub("", text)


def test_latex_holds_only_its_own_commands_and_its_braces_match(exported):
    _, folder = exported
    files = list((folder / "paper").rglob("*.tex"))
    assert len(files) > 5
    for file in files:
        text = file.read_text()
        rest = unescaped(text)
        assert not re.search(r"[\\#%^~`\"|<>]", rest.replace("_", ""))
        assert set(re.findall(r"\$[^$]*\$", rest)) <= {"$-$", "$$"}
        for line in rest.splitlines():
            assert line.count("{") == line.count("}")
        assert not re.search(r"(?m)^\s*[\[*]", rest)
        widths = {line.count(" & ") for line in text.splitlines() if line.endswith(r"\\")}
        assert len(widths - {0}) <= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50% of a_b & c#1", r"50\% of a\_b \& c\#1"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("a--b---c", "a-{}-b-{}-{}-c"),
        ("``x''", r"\textasciigrave{}\textasciigrave{}x'{}'"),
        ("[2pt] *", "{[}2pt] {*}"),
        ("$x^2$", r"\$x\textasciicircum{}2\$"),
        ("\N{MINUS SIGN}1.2 \N{DAGGER} 3\N{EN DASH}4", r"$-$1.2 \dag{} 3--4"),
        ("a\nb", "a b"),
        ("MA-IQL, 1,234", "MA-IQL, 1,234"),
    ],
)
def test_latex_shows_a_text_as_it_is(text, expected):
    assert latex(text) == expected


def small_table(lines=1):
    interval = Interval(93.06, 90.1, 96.0, 5, Method.T)
    one = Interval(-1.04, -2.0, 1.0, 16, Method.EPISODES)
    cells = [
        Cell("a_b", "a_b"),
        replace(interval_cell(interval, 1), strong=True, mark="1"),
        interval_cell(one, 1),
        Cell("not reached", float("inf")),
    ]
    columns = [Column("Method", False), Column("Score"), Column("Gain"), Column("Data to 90")]
    return Table("Scores & more", "Mean of 100%.", columns, [cells] * lines)


def test_a_csv_has_numbers_with_all_digits_limits_and_what_the_page_says_besides():
    heads, line = fields(table_csv(small_table()))
    found = dict(zip(heads, line, strict=True))
    assert found == {
        "Method": "a_b",
        "Score": "93.06",
        "Score low": "90.1",
        "Score high": "96.0",
        "Score note": "1",
        "Gain": "-1.04",
        "Gain low": "-2.0",
        "Gain high": "1.0",
        "Gain note": "\N{DAGGER}",
        "Data to 90": "",
        "Data to 90 note": "not reached",
    }


def test_json_has_the_limits_of_an_interval_with_all_digits():
    cell = small_table().to_dict()["lines"][0][1]
    assert (cell["value"], cell["low"], cell["high"]) == (93.06, 90.1, 96.0)
    assert "low" not in small_table().to_dict()["lines"][0][3]


def test_latex_has_intervals_marks_and_bold_type_as_the_page():
    text = table_latex(small_table(), "tab:x")
    assert r"\caption{Scores \& more. Mean of 100\%.}" in text
    assert r"\begin{tabular}{lrrr}" in text
    assert (
        r"a\_b & \textbf{93.1}\textsuperscript{1} {\scriptsize {[}90.1, 96.0]} & "
        r"$-$1.0 {\scriptsize {[}$-$2.0, 1.0] \dag{}} & not reached \\"
    ) in text.splitlines()


def test_a_long_table_goes_over_pages():
    text = table_latex(small_table(PAGE_LINES + 1), "tab:x")
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == 1
    assert r"\begin{table}" not in text


def test_tables_with_one_title_have_their_own_files():
    table = small_table()
    found = names([("a", table), ("a", table), ("b", table), ("a", replace(table, title="\u65e5"))])
    assert list(found) == ["a_scores-more", "a_scores-more_2", "b_scores-more", "a_table"]


def test_there_is_a_line_for_every_run_with_its_score_and_cost():
    refs = [r for r in reference_rows(50) if r.task == "cbf"]
    scale = {r.role: np.mean(r.episode_returns) for r in refs if r.role in ("random", "expert")}
    low, gap = scale["random"], scale["expert"] - scale["random"]
    returns = [low + gap * share for share in (1.0, 0.9, 0.2, 1.1)]
    early = make_row(episode_returns=returns, is_last=False, updates=10)
    more = {"latency_p50_ms": 8.0, "epochs": 2.5, "extra": {"decision_ms_one_agent": 0.4}}
    run = make_row(episode_returns=returns, seed=3, updates=20, label="bc (mean)", **more)
    unseen = make_row(episode_returns=returns, seed=3, eval_seed_set="validation")
    harder = replace(run, experiment="robustness", factor="agents", level=7.0)
    *_, found, bare = frame.runs([*refs, early, run, unseen, harder])
    assert len(frame.runs([*refs, early, run, unseen, harder])) == len(refs) + 2
    assert (found.task, found.data, found.algorithm, found.label) == (
        "cbf",
        "expert",
        "bc",
        "bc (mean)",
    )
    assert (found.score, found.median) == pytest.approx((80.0, 95.0))
    assert found.failed_share == 0.25
    assert (found.updates, found.minutes, found.epochs, found.bytes) == (20, 1.0, 2.5, 0.0)
    assert (found.ms, found.station_ms, found.networks, found.seed) == (8.0, 0.4, 4, 3)
    assert (bare.factor, bare.level, bare.score) == ("agents", 7.0, None)


def test_two_final_rows_of_one_run_are_refused():
    with pytest.raises(ValueError, match="two final rows"):
        frame.runs([make_row(), make_row()])


def test_the_scores_of_the_frame_are_those_of_the_page():
    """The median and the share of failed networks of one seed, and the mean of all."""
    short = [
        replace(r, episode_returns=r.episode_returns[:6]) for r in some_rows() if r.seed in (-1, 0)
    ]
    runs = {r.label: r for r in frame.runs(short) if r.experiment == "comparison"}
    for final in summary.finals(short, "comparison", np.random.default_rng(0)):
        assert final.runs is not None
        run = runs[final.label]
        assert run.median == pytest.approx(networks.median_score(final.runs))
        assert run.failed_share == networks.failed_share(final.runs)
    rows = some_rows()
    finals = summary.finals(rows, "comparison", np.random.default_rng(0))
    found = [r for r in frame.runs(rows) if r.experiment == "comparison"]
    for final in finals:
        assert final.score is not None
        mine = [r.score for r in found if r.label == final.label]
        assert np.mean([s for s in mine if s is not None]) == pytest.approx(final.score.value)


def test_csv_and_parquet_hold_the_same_and_parquet_the_labels_as_they_are(exported):
    parquet = pytest.importorskip("pyarrow.parquet")
    rows, folder = exported
    lines = fields((folder / "paper" / "runs.csv").read_text())
    table = parquet.read_table(folder / "paper" / "runs.parquet")
    assert table.column_names == lines[0] == list(frame.COLUMNS)
    records = table.to_pylist()
    assert len(records) == len(lines) - 1
    labels = [record["label"] for record in records]
    assert labels == [r.label for r in rows if r.is_last]
    for record, line in zip(records, lines[1:], strict=True):
        for (name, value), text in zip(record.items(), line, strict=True):
            kind = frame.COLUMNS[name]
            if value is None:
                assert text == ""
            elif kind == "str":
                assert text in (value, f"'{value}")
            else:
                assert float(text) == value


def test_without_pyarrow_there_is_the_csv_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(frame, "find_spec", lambda _: None)
    frame.write_frame([make_row()], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["runs.csv"]


def test_a_data_frame_without_pandas_says_what_to_do(monkeypatch):
    monkeypatch.setattr(frame, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"pip install pandas.*--export DIR"):
        export.data_frame([make_row()])


def test_a_data_frame_holds_what_the_csv_holds(exported, tmp_path):
    pandas = pytest.importorskip("pandas")
    rows, folder = exported
    write_rows(tmp_path / "cpu" / "a.jsonl", rows)
    found = export.data_frame(tmp_path / "cpu")
    assert found.equals(export.data_frame(rows))
    assert list(found.columns) == list(frame.COLUMNS)
    table = pandas.read_csv(folder / "paper" / "runs.csv", float_precision="round_trip")
    assert found["label"].tolist() == [r.label for r in rows if r.is_last]
    for name in ("score", "median", "failed_share", "minutes", "fraction", "updates"):
        expected = table[name].to_numpy(float)
        assert np.array_equal(found[name].to_numpy(float, na_value=np.nan), expected, True)
    assert found["updates"].dtype == "Int64"


def test_the_command_exports_and_says_so(tmp_path, capsys):
    write_rows(tmp_path / "cpu" / "a.jsonl", [make_row()])
    paper = tmp_path / "my paper"
    assert main(["report", str(tmp_path / "cpu"), "--export", str(paper)]) == 0
    assert str(paper) in capsys.readouterr().out.replace("\n", "")
    assert {"runs.csv", "tables", "figures"} <= {p.name for p in paper.iterdir()}


def test_a_file_in_place_of_the_folder_is_refused_before_anything_is_drawn(tmp_path):
    (tmp_path / "paper").write_text("")
    with pytest.raises(NotADirectoryError, match="paper is a file"):
        write_report([make_row()], tmp_path / "page", export=tmp_path / "paper")
    assert not (tmp_path / "page").exists()
