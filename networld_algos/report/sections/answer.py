"""The first screen: what the comparison decided, how surely, and at what cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from networld_algos.report import scoring
from networld_algos.report.axes import arranged
from networld_algos.report.cards import Card, Cards
from networld_algos.report.sections import answer_table, scope, summary_figure
from networld_algos.report.source import Section, Source
from networld_algos.report.summary import Final, quality
from networld_algos.report.table import (
    DASH,
    Cell,
    Column,
    Table,
    interval_cell,
    limits_text,
    number_cell,
    panel_name,
    text_cell,
)
from networld_algos.report.verdicts import (
    MARK_SEEDS,
    MATTERS,
    Outcome,
    Standing,
    Verdict,
    comparisons,
    representatives,
    verdicts,
)
from networld_algos.results.display import Display
from networld_algos.results.rows import STATION_MS
from networld_algos.results.stats import Interval
from networld_algos.results.text import count, minus

EXPERIMENT = "comparison"
RULE = (
    "Win: the 95% interval of the lead, paired by seed and network, is above zero against every "
    "other algorithm, and there is no tie. Tie: against at least one, the whole interval is within "
    f"{MATTERS:g} point, the smallest difference that matters here, even if it is above zero; all "
    f"others are beaten. Undecided: neither, or fewer than {MARK_SEEDS} seeds. One method stands "
    f"for each algorithm. Where two have {MARK_SEEDS} seeds, those with fewer do not compete."
)


def make(source: Source) -> Section:
    """What the comparison decided; without content if no method has a score."""
    section = Section("answer", "What was decided")
    finals = source.finals(EXPERIMENT)
    competing = representatives(finals, source.focus)
    if not competing:
        return section
    labels = list(dict.fromkeys(f.label for f in competing))
    found = verdicts(finals, competing, source.rng(EXPERIMENT, "verdicts"))
    milliseconds = station_ms(source)
    if found:
        section.finding = sentence(found, source.focus, source.display)
        section.warning = scope.small(found, source.rows)
        if not section.warning:
            section.text.append(scope.behind(competing, source))
        section.parts.append(cards(found, source.focus, milliseconds, source.display))
    else:
        names = _listed([source.display.method(label) for label in labels])
        section.finding = f"Nothing is compared: every task and data has one algorithm, {names}."
    section.warning = f"{section.warning} {scope.failed(source.failures)}".strip()
    section.parts.append(
        answer_table.table(competing, found, milliseconds, source.behaviours, source.display)
    )
    if (variants := answer_table.variants(finals, competing, source.display)) is not None:
        section.parts.append(variants)
    if (picture := summary_figure.picture(source, competing)) is not None:
        section.parts.append(picture)
    return section


def sentence(found: Sequence[Verdict], focus: str, display: Display) -> str:
    """What was decided, in one or two sentences computed from the verdicts."""
    mine = [v for v in found if v.outcome_of(focus) is not None]
    total = count(len(found), "comparison")
    if not mine or all(v.seeds < MARK_SEEDS for v in found):
        return _sentence_of_all(found, total, display)
    times = Counter(v.outcome_of(focus) for v in mine)
    decided = [
        f"{verb} {times[outcome] or 'none'}"
        for outcome, verb in (
            (Outcome.WIN, "wins"),
            (Outcome.TIE, "ties in"),
            (Outcome.LOSS, "loses"),
        )
        if times[outcome] or outcome is Outcome.WIN
    ]
    if times[Outcome.OPEN]:
        decided.append(f"is undecided in {times[Outcome.OPEN]}")
    text = f"Of {total}, {display.method(focus)} {_listed(decided)}."
    if len(mine) < len(found):
        text = f"{display.method(focus)} is in {len(mine)} of {total}: it {_listed(decided)}."
    if others := _other_winners(mine, focus, display):
        text += f" {others}"
    return f"{text} {_confirmed(mine)}".strip()


def _confirmed(found: Sequence[Verdict]) -> str:
    """How many wins of anybody hold after the correction; empty without a win."""
    wins = [v for v in found if v.outcome is Outcome.WIN]
    if not wins:
        return ""
    held = sum(v.is_confirmed for v in wins)
    if len(wins) == 1:
        what = "the win holds" if held else "the win does not hold"
    else:
        what = f"{held or 'none'} of the {len(wins)} wins {'holds' if held == 1 else 'hold'}"
    return f"Corrected for the number of comparisons, {what}."


def rule(found: Sequence[Verdict]) -> str:
    """What the words on the cards mean."""
    total = comparisons(found)
    if not total:
        return RULE
    return (
        f"{RULE} Each lead is judged by itself, at 95%. Corrected: judged by Holm's method, as one "
        f"of all {total} comparisons of two methods, because any of them could have been the best. "
        "The probability that any of the leads that then hold is wrong is at most 5%."
    )


def _sentence_of_all(found: Sequence[Verdict], total: str, display: Display) -> str:
    """The sentence without a focus method, or with too few seeds to decide anything."""
    if all(v.seeds < MARK_SEEDS for v in found):
        leaders = Counter(display.method(v.leader.label) for v in found)
        shares = [f"{name} in {times}" for name, times in leaders.most_common()]
        return f"Highest mean score of {total} so far: {_listed(shares)}. Nothing is decided."
    wins = Counter(display.method(v.leader.label) for v in found if v.outcome is Outcome.WIN)
    parts = [f"{name} wins {times}" for name, times in wins.most_common()]
    outcomes = Counter(v.outcome for v in found)
    if ties := outcomes[Outcome.TIE]:
        parts.append(f"{ties} {'ends' if ties == 1 else 'end'} in a tie")
    if undecided := outcomes[Outcome.OPEN]:
        parts.append(f"{undecided} {'is' if undecided == 1 else 'are'} undecided")
    return f"Of {total}, {_listed(parts)}. {_confirmed(found)}".strip()


def _other_winners(found: Sequence[Verdict], focus: str, display: Display) -> str:
    wins = Counter(
        display.method(v.leader.label)
        for v in found
        if v.outcome is Outcome.WIN and v.leader.label != focus
    )
    parts = [f"{name} wins {times}" for name, times in wins.most_common()]
    return f"{_listed(parts)}." if parts else ""


def station_ms(source: Source) -> dict[tuple[str, str], float]:
    """(Task, label) -> milliseconds of one station's decision, where any experiment timed it."""
    found: dict[tuple[str, str], float] = {}
    for experiment in source.single_results:
        for final in source.finals(experiment):
            value = final.extra.get(STATION_MS)
            if value is not None and final.factor_level == scoring.PLAIN:
                found.setdefault((final.panel[0], final.label), value)
    return found


def cards(
    found: Sequence[Verdict],
    focus: str,
    milliseconds: Mapping[tuple[str, str], float],
    display: Display,
) -> Cards:
    """One card for each comparison, in a grid of data and tasks where there is one."""
    at = {v.panel: v for v in found}
    panels = arranged([v.panel for v in found])
    tasks = list(dict.fromkeys(task for task, _ in panels))
    data = list(dict.fromkeys(map(quality, panels)))
    several = len(data) > 1
    across = len(tasks) if len(panels) == len(tasks) * len(data) else 0
    made = [_card(at[p], focus, milliseconds, display, several or len(tasks) == 1) for p in panels]
    return Cards(made, across, _table(found, focus, milliseconds, display))


def _card(
    verdict: Verdict,
    focus: str,
    milliseconds: Mapping[tuple[str, str], float],
    display: Display,
    several: bool,
) -> Card:
    leader = verdict.leader
    first = lead_text(verdict, display)
    if verdict.outcome is not Outcome.WIN:
        first = f"{display.method(leader.label)} {first}"
    lines = [first]
    mine = verdict.rival(focus)
    if mine is not None and mine is not verdict.closest:
        name = display.method(leader.label)
        lines.append(f"{display.method(focus)} is {_points(mine.lead)} behind {name}")
    if correction := correction_text(verdict, focus, display):
        lines.append(correction)
    if few := few_seeds_text(verdict, display):
        lines.append(few)
    if verdict.best_variant is not None and verdict.best_variant.score is not None:
        score = f"{verdict.best_variant.score.value:.1f}"
        lines.append(
            f"a variant is above: {display.method(verdict.best_variant.label)}, {minus(score)}"
        )
    if cost := _cost(leader, milliseconds):
        lines.append(f"{display.method(leader.label)}: {cost}")
    if verdict.outcome is Outcome.WIN:
        kind = "won" if leader.label == focus else "lost"
    else:
        kind = "tie" if verdict.outcome is Outcome.TIE else "open"
        if verdict.outcome_of(focus) is Outcome.LOSS:
            kind = "lost"
    return Card(
        panel_name(verdict.panel, several), result_text(verdict, focus, display), kind, lines
    )


def result_text(verdict: Verdict, focus: str, display: Display) -> str:
    """``"NetWorld wins"``, ``"Tie: NetWorld, BC"``, ``"Undecided: NetWorld or BC"``.

    An undecided panel can be a loss of the focus method: ``"NetWorld loses to BC or MA-DD"``.
    """
    leader = display.method(verdict.leader.label)
    if verdict.seeds < MARK_SEEDS:
        return f"{leader} is highest, not decided"
    if verdict.outcome is Outcome.WIN:
        return f"{leader} wins"
    near = [r for r in verdict.rivals if r.standing is not Standing.BEATEN]
    names = [leader, *(display.method(r.final.label) for r in near)]
    if verdict.outcome is Outcome.TIE:
        return f"Tie: {', '.join(names)}"
    if verdict.outcome_of(focus) is Outcome.LOSS:
        return f"{display.method(focus)} loses to {_listed(names, 'or')}"
    return f"Undecided: {_listed(names, 'or')}"


def few_seeds_text(verdict: Verdict, display: Display) -> str:
    """``"too few seeds: A (1)"``, for methods that do not compete; empty if all do."""
    few = [f"{display.method(f.label)} ({len(f.seeds)})" for f in verdict.few_seeds]
    return f"too few seeds: {', '.join(few)}" if few else ""


def correction_text(verdict: Verdict, focus: str, display: Display) -> str:
    """What is left of a win, or of the loss of the focus method, after the correction."""
    if verdict.outcome is Outcome.WIN:
        return f"{'holds' if verdict.is_confirmed else 'does not hold'} when corrected"
    mine = verdict.rival(focus)
    if mine is not None and mine.standing is Standing.BEATEN:
        whose = f"the loss of {display.method(focus)}"
        return f"{whose} {'holds' if mine.is_confirmed else 'does not hold'} when corrected"
    return ""


def lead_text(verdict: Verdict, display: Display) -> str:
    """``"+3.1 points [1.2, 5.0] over BC"``, for the closest rival."""
    rival = verdict.closest
    return f"{_points(rival.lead, True)} over {display.method(rival.final.label)}"


def _points(lead: Interval, sign: bool = False) -> str:
    value = f"{lead.value:+.1f}" if sign else f"{lead.value:.1f}"
    return minus(f"{value} points {limits_text(lead, 1)}".strip())


def _cost(final: Final, milliseconds: Mapping[tuple[str, str], float]) -> str:
    parts: list[str] = []
    if final.train_seconds is not None:
        parts.append(f"{minutes_text(final.train_seconds)} of training")
    station = milliseconds.get((final.panel[0], final.label))
    if station is not None:
        parts.append(f"{station:.2g} ms a decision")
    return ", ".join(parts)


def minutes_text(seconds: float) -> str:
    """``"12 min"``, ``"2.8 min"``, ``"15 s"``."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 9.5 else f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes >= 9.5 else f"{minutes:.1f} min"


def _table(
    found: Sequence[Verdict],
    focus: str,
    milliseconds: Mapping[tuple[str, str], float],
    display: Display,
) -> Table:
    """The cards as a table, for the exports."""
    lines: list[list[Cell]] = []
    for v in found:
        station = milliseconds.get((v.panel[0], v.leader.label))
        minutes = None if v.leader.train_seconds is None else v.leader.train_seconds / 60
        lines.append(
            [
                text_cell(panel_name(v.panel, True)),
                text_cell(result_text(v, focus, display)),
                interval_cell(v.leader.score, 1),
                interval_cell(v.closest.lead, 1, sign=True),
                text_cell(display.method(v.closest.final.label)),
                text_cell(correction_text(v, focus, display) or DASH),
                text_cell(few_seeds_text(v, display) or DASH),
                Cell(str(v.seeds), float(v.seeds)),
                number_cell(minutes, 1),
                number_cell(station, 2),
            ]
        )
    columns = [
        Column("Task, data", False),
        Column("Result", False),
        Column("Score", hint="of the leader"),
        Column("Lead", hint="over the closest rival, paired by seed and network"),
        Column("Closest rival", False, "best undecided one, or else the second best"),
        Column("Corrected", False, "for the number of comparisons"),
        Column("Not compared", False, "methods with too few seeds"),
        Column("Seeds"),
        Column("Training (min)", hint="of the leader, median over seeds"),
        Column("One station (ms)", hint="one decision of one station with the leader"),
    ]
    if not milliseconds:
        columns, lines = columns[:-1], [line[:-1] for line in lines]
    return Table("Verdicts", rule(found), columns, lines)


def _listed(words: Sequence[str], joint: str = "and") -> str:
    """``"a"``, ``"a and b"``, ``"a, b and c"``."""
    *most, last = words
    return f"{', '.join(most)} {joint} {last}" if most else last
