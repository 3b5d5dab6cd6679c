"""The table of claims, as cells and as Markdown: one source for the page and all documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from networld_algos.results.claims.check import CONFIDENCE, MEAN, Answer, Finding
from networld_algos.results.claims.claim import TASKS, Verdict
from networld_algos.results.claims.scores import Pick
from networld_algos.results.stats import ENOUGH_SEEDS, MATTERS
from networld_algos.results.text import markdown, minus

Names = Callable[[str], str]
"""Label in rows -> name as printed, see `networld_algos.results.display.Display.method`."""
DASH = "\N{EN DASH}"
HEAD = ("Claim", "Source", "Data", *(task.upper() for task in TASKS), "Verdict", "Seeds, networks")
RULE = (
    "A cell has the verdict on one task, and the comparison that decided it: the difference with "
    "its interval. Intervals are paired by training seed and network and count how both vary. "
    "*Holds*: the whole interval, which covers "
    f"{CONFIDENCE:.0%}, is on the claimed side of its limit, which is zero for "
    '"higher" and "smoother"; as all comparisons of a claim have to hold, this needs no correction '
    "for their number. *Refuted*: the whole interval is on the other side or, for "
    f'"higher", the lead is below {MATTERS:g} point, the smallest difference that matters: a lead '
    "that is certainly smaller does not count as one. As one of m comparisons (tasks and methods "
    "counted) is enough to refute a claim, the interval that refutes covers "
    f"1 {DASH} {1 - CONFIDENCE:.2f}/m (Bonferroni); a cell shows this wider interval where the "
    f"{CONFIDENCE:.0%} interval alone would refute. "
    f'A true lead between 0 and {MATTERS:g} is a lead, and too small to matter: "higher" can hold '
    "for it, or be refuted, with more seeds more often the latter. "
    f'"Level with" and "never worse" allow {MATTERS:g} point. '
    f"Otherwise *undecided*, and so is everything from fewer than {ENOUGH_SEEDS} training seeds, "
    "except milliseconds, which are from the smallest to the largest of the seeds. "
    "Shares of networks have at least the width of an exact binomial interval over networks. "
    "*Not run*: the rows lack it. A claim "
    "about every task has the worst verdict of its tasks, a claim about their mean (one thirtieth "
    "of the data, pre-training) that of the mean."
)
"""How to read the table, in Markdown."""


def cells(answer: Answer, names: Names) -> list[str]:
    """A line of the table, in the order of `HEAD`."""
    claim = answer.claim
    tasks = [place_text(answer, task, names) for task in TASKS]
    verdict = str(answer.verdict)
    if claim.over_tasks:
        verdict = place_text(answer, MEAN, names)
    return [claim.text, claim.source, claim.data, *tasks, verdict, counts_text(answer)]


def place_text(answer: Answer, place: str, names: Names) -> str:
    """`place_parts` in one text: ``"holds: +4.8 [3.2, 6.3], MA-IQL"``."""
    verdict, details = place_parts(answer, place, names)
    return f"{verdict}: {details}" if details else verdict


def place_parts(answer: Answer, place: str, names: Names) -> tuple[str, str]:
    """Verdict on a task, and the comparison that decided it; a dash for other tasks."""
    if place not in answer.places:
        return DASH, ""
    finding = answer.deciding(place)
    if finding.estimate is None:
        return str(finding.verdict), ""
    name = name_of(finding, names)
    return str(finding.verdict), ", ".join([difference_text(finding), *([name] if name else [])])


def difference_text(finding: Finding) -> str:
    """``"+1.2 [0.3, 2.1]"``; values that are no differences have no sign."""
    if finding.estimate is None:
        return DASH
    sign = "" if finding.comparison.other is None else "+"
    text = f"{finding.estimate.value:{sign}.1f} [{finding.low:.1f}, {finding.high:.1f}]"
    return minus(text).replace("nan", "?")


def name_of(finding: Finding, names: Names) -> str:
    """What tells a comparison from the others of its claim."""
    comparison = finding.comparison
    if comparison.note:
        return names(comparison.note)
    other = comparison.other
    return names(other.label) if isinstance(other, Pick) else other or ""


def counts_text(answer: Answer) -> str:
    """``"5, 100"``, ``"3-5, 32"``, ``"5"`` for values of whole trainings, or a dash."""
    networks = [] if answer.networks == [1] else answer.networks
    both = [
        DASH.join(map(str, sorted({min(found), max(found)})))
        for found in (answer.seeds, networks)
        if found
    ]
    return ", ".join(both) or DASH


def tally(answers: Sequence[Answer]) -> str:
    """``"Of 12 claims of the paper, 3 hold, 5 are refuted, ..."``, and the same of the aims."""
    parts = []
    for noun, found in (
        ("claim of the paper", [a for a in answers if a.claim.source != "aim"]),
        ("aim of the project", [a for a in answers if a.claim.source == "aim"]),
    ):
        if found:
            parts.append(_tally(found, noun))
    return " ".join(parts)


def _tally(answers: Sequence[Answer], noun: str) -> str:
    times = Counter(answer.verdict for answer in answers)
    words = {
        Verdict.HOLDS: ("holds", "hold"),
        Verdict.REFUTED: ("is refuted", "are refuted"),
        Verdict.UNDECIDED: ("is undecided", "are undecided"),
        Verdict.NOT_RUN: ("was not run completely", "were not run completely"),
    }
    said = [
        f"{times[v]} {one if times[v] == 1 else many}"
        for v, (one, many) in words.items()
        if times[v]
    ]
    first, _, rest = noun.partition(" ")
    whole = noun if len(answers) == 1 else f"{first}s {rest}"
    return f"Of {len(answers)} {whole}, {', '.join(said)}."


def markdown_table(answers: Sequence[Answer], names: Names) -> str:
    """The tables of the paper's claims and of the project's aims, with how to read them."""
    return "\n\n".join(
        [
            tally(answers),
            _table([a for a in answers if a.claim.source != "aim"], names),
            "The project's own aims:",
            _table([a for a in answers if a.claim.source == "aim"], names, without="Source"),
            RULE,
        ]
    )


def _table(answers: Sequence[Answer], names: Names, without: str = "") -> str:
    kept = [i for i, name in enumerate(HEAD) if name != without]
    lines = [[HEAD[i] for i in kept], ["---"] * len(kept)]
    for answer in answers:
        line = [markdown(cell) for cell in cells(answer, names)]
        at = HEAD.index("Verdict")
        line[at] = _strong(line[at])
        lines.append([line[i] for i in kept])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _strong(text: str) -> str:
    """The verdict itself in bold, without the numbers behind it."""
    verdict, colon, rest = text.partition(":")
    return f"**{verdict}**{colon}{rest}"
