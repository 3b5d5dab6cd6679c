import importlib.util
import json
import re
from pathlib import Path

import pytest

from networld_algos.report.sections import claims
from networld_algos.report.source import Source
from networld_algos.results.claims.aims import AIMS
from networld_algos.results.claims.check import ORDER
from networld_algos.results.claims.pages import replaced
from networld_algos.results.claims.paper import PAPER
from networld_algos.results.display import Display
from tests.report.rows import comparison_rows, fewshot_rows, make_row, reference_rows

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
    """The script that writes the table into documents."""
    path = ROOT / "benchmarks" / "claims.py"
    spec = importlib.util.spec_from_file_location("claims_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def source_of(rows, tmp_path) -> Source:
    return Source(rows, tmp_path, 0, {}, Display())


def test_documents_have_the_table_of_the_committed_rows(script):
    """Run ``python benchmarks/claims.py`` if this fails, and read what changed."""
    table = script.committed_table()
    for page in script.PAGES:
        text = page.read_text(encoding="utf-8")
        assert replaced(text, script.ROWS, table) == text, page.name


def test_the_section_has_a_line_for_every_claim(rows, tmp_path):
    section = claims.make(source_of(rows, tmp_path))
    short, long = section.tables
    assert len(short.lines) == len(PAPER) + len(AIMS)
    at = [column.name for column in short.columns].index("Verdict")
    for line in short.lines:
        assert line[at].text in set(ORDER)
    lead = short.lines[[claim.key for claim in PAPER].index("above-baselines")]
    assert {cell.text for cell in lead[3:6]} <= {"holds", "undecided"}
    assert all(re.fullmatch(r".[\d.]+ \[.+, .+\], ma-\w+", cell.note) for cell in lead[3:6])
    assert section.finding.startswith(f"Of {len(PAPER)} claims of the paper, ")
    made = [f for a in claims.checked(rows) for f in a.findings if f.estimate is not None]
    assert len(long.lines) == len(made) > 40
    json.dumps([short.to_dict(), long.to_dict()], allow_nan=False)


def test_rows_that_say_nothing_about_any_claim_have_no_section(tmp_path):
    other = [make_row(label="mine", algorithm="mine", seed=s) for s in (0, 1)]
    assert not claims.make(source_of([*reference_rows(2), *other], tmp_path)).parts
    assert not claims.make(source_of(reference_rows(2), tmp_path)).parts


def test_scores_of_claims_are_those_of_the_other_tables(tmp_path):
    source = source_of([*reference_rows(16), *comparison_rows(), *fewshot_rows()], tmp_path)
    found = {a.claim.key: a for a in claims.checked(source.rows)}
    final = next(
        f for f in source.finals("comparison") if (f.panel[0], f.label) == ("rb", "networld")
    )
    (rb,) = found["reaches-expert"].at("rb")
    assert rb.estimate is not None
    assert final.score is not None
    assert rb.estimate.value == pytest.approx(final.score.value)
    assert rb.estimate.limits() == pytest.approx((final.score.low, final.score.high))
