import numpy as np

from networld_algos.report import summary
from networld_algos.report.sections import cost, pareto, robustness
from networld_algos.report.source import Picture, Source
from networld_algos.report.style import factor_name, level_text
from networld_algos.results.display import Display
from tests.report.rows import learned, reference_rows, robustness_rows

METHODS = {  # score, ms of one station, minutes of training
    "fast": (60.0, 0.5, 1.0),
    "slow and worse": (50.0, 2.0, 0.5),
    "good": (90.0, 4.0, 3.0),
    "too late": (95.0, 40.0, 9.0),
}


def cost_rows():
    rng = np.random.default_rng(0)
    rows = reference_rows(20)
    for label, (score, ms, minutes) in METHODS.items():
        for s in range(2):
            changes = {
                "experiment": "cost",
                "algorithm": label,
                "label": label,
                "seed": s,
                "train_seconds": 60.0 * minutes,
                "extra": {"decision_ms_one_agent": ms},
            }
            rows.append(learned("rb", score, rng, **changes))
            slower = {"factor": "steps", "level": 5.0, "extra": {"decision_ms_one_agent": 2 * ms}}
            rows.append(learned("rb", score + 1, rng, **{**changes, **slower}))
    return rows


def test_the_front_has_what_no_other_beats_in_both():
    finals = summary.finals(cost_rows(), "cost", np.random.default_rng(0))
    plain = [f for f in finals if f.factor_level == (None, None)]
    station, training = pareto.PRICES
    display = Display({}, {})
    ((panel, names),) = pareto.on_front(plain, station, display).items()
    assert panel[0] == "rb"
    assert names == ["fast", "good", "too late"]
    ((_, names),) = pareto.on_front(plain, training, display).items()
    assert names == ["slow and worse", "fast", "good", "too late"]
    points = pareto.front(pareto.priced(finals, station))
    assert [cost for _, cost, _ in points] == sorted(cost for _, cost, _ in points)
    assert np.all(np.diff([score for _, _, score in points]) > 0)
    text = pareto.finding(finals, display)
    assert "RB fast then good then too late" in text
    assert text.endswith("too late decide too late for a slot of 20 ms.")
    without = [f for f in finals if f.label != "too late"]
    assert "every method decides within a slot of 20 ms" in pareto.finding(without, display)


def test_the_section_of_costs_draws_the_front_for_station_and_training(tmp_path):
    source = Source(cost_rows(), tmp_path, 0, {}, Display({}, {}), "good")
    section = cost.make(source)
    pictures = {part.name: part for part in section.parts if isinstance(part, Picture)}
    assert {"cost_station", "cost_training"} <= set(pictures)
    assert "a deadline of 20 ms, a slot of CBF" in pictures["cost_station"].caption
    assert "deadline" not in pictures["cost_training"].caption
    assert section.finding.startswith("From the fastest to the best")


def test_robustness_says_where_the_method_in_the_centre_is_worst(tmp_path):
    rows = [*reference_rows(20), *robustness_rows()]
    section = robustness.make(Source(rows, tmp_path, 0, {}, Display({}, {}), "networld"))
    assert section.finding.startswith("The lowest scores of networld")
    assert "lost messages" in section.finding
    assert "90%" in section.finding
    assert robustness.finding([], "networld", Display({}, {})) == ""


def test_drifts_are_named_by_their_parameter():
    assert factor_name("drift:load") == "Load"
    assert factor_name("drift:angular_spread_deg") == "Angular spread (degrees)"
    assert factor_name("deployment:ring6") == "Deployment ring6"
    assert level_text("deployment:ring6", 1.0) == ""
    assert level_text("drift:load", 0.34) == "0.34"
