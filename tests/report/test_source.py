from networld_algos.report import axes, summary
from networld_algos.report.source import ordered
from tests.report.rows import make_row


def test_rows_are_ordered_and_panels_arranged_by_quality_and_task(display):
    tasks, data = ("ns", "cbf", "rb"), ("mixed", "expert")
    rows = [
        make_row(task=t, dataset=f"networld/{t}/{q}-v0", algorithm=a, label=a)
        for t in tasks
        for q in data
        for a in ("zeta", "bc", "networld")
    ]
    found = ordered(rows, display)
    assert [r.label for r in found[:3]] == ["networld", "bc", "zeta"]
    panels = summary.panels(found, "comparison")
    assert [(t, summary.quality((t, d))) for t, d in panels[:3]] == [
        ("cbf", "expert"),
        ("cbf", "mixed"),
        ("rb", "expert"),
    ]
    rows_of = [t for t, _ in axes.arranged(panels)]
    assert rows_of == ["cbf", "rb", "ns"] * 2
