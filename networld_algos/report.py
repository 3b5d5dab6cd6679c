"""One suite's rows to figures and one self-contained HTML page.

The page loads nothing from a network (its content security policy forbids it), works without
JavaScript except for sorting, and is the same, byte for byte, for the same rows.
"""

from __future__ import annotations

import base64
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import jinja2
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from networld_algos import fewshot, plot_style, plots, stats, summary, tables
from networld_algos.rows import Failure, Row, write_text
from networld_algos.tables import Table

THRESHOLDS = np.linspace(0.0, 120.0, 241)


@dataclass(frozen=True)
class Picture:
    """A figure on the page, in a wide and a narrow form.

    Attributes:
        name: File name without suffix.
        alt: What it shows, in words and numbers.
        caption: How to read it.
        wide: Data address of the SVG.
        narrow: The same, for phones.
    """

    name: str
    alt: str
    caption: str
    wide: str
    narrow: str


@dataclass
class Section:
    """A heading and what stands under it."""

    anchor: str
    title: str
    text: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def write_report(
    rows: Sequence[Row],
    out_dir: str | PathLike[str],
    title: str,
    *,
    failures: Sequence[Failure] = (),
    commands: Sequence[str] = (),
    seed: int = 0,
) -> Path:
    """Write ``figures/*.svg``, ``figures/*.png`` and ``report.html`` below ``out_dir``.

    Args:
        rows: All rows of one suite, learned and reference.
        out_dir: Made if absent; files of an earlier report are replaced one by one.
        title: Heading of the page.
        failures: Runs that raised, from `networld_algos.rows.read_failures`.
        commands: The exact commands that made ``rows``, shown as they are.
        seed: Seeds the bootstrap.

    Returns:
        Path of ``report.html``.

    Raises:
        ValueError: If ``rows`` is empty or of several suites, two final rows claim one run, or an
            expert is no better than random.
    """
    suite = summary.one_suite(rows)
    rng = np.random.default_rng(seed)
    out = Path(out_dir)
    experiments = list(dict.fromkeys(r.experiment for r in rows if r.kind == "learned"))
    look = plot_style.styles(_methods(rows))
    sections = [_comparison(rows, out, look, rng)] if "comparison" in experiments else []
    if "fewshot" in experiments:
        sections.append(_fewshot(rows, out, look, rng))
    sections += [
        _other(rows, name, out, look, rng)
        for name in experiments
        if name not in ("comparison", "fewshot")
    ]
    sections.append(_references(rows))
    sections += _health(rows, experiments, rng)
    page = _environment().from_string(_template())
    html = page.render(
        title=title,
        suite=suite,
        facts=_facts(rows, failures),
        notices=_notices(rows),
        sections=[s for s in sections if s.pictures or s.tables],
        failures=failures,
        commands=commands,
        versions=_versions(rows),
    )
    return write_text(out / "report.html", html)


def _comparison(
    rows: Sequence[Row], out: Path, look: plot_style.Look, rng: np.random.Generator
) -> Section:
    section = Section("comparison", "Comparison")
    references = summary.references(rows)
    finals = summary.finals(rows, "comparison", rng)
    curves = summary.learning_curves(rows, "comparison", rng)
    section.text.append(
        "The last checkpoint is the headline: mean over training seeds on test seeds, with a 95% "
        "confidence interval. No number here is a maximum over checkpoints, except in the column "
        "that says so."
    )
    if finals:
        section.tables.append(tables.headline(finals))
    if curves:
        wide = plots.comparison_figure(curves, references, look)
        narrow = plots.comparison_figure(curves, references, look, columns=1)
        caption = (
            "Average reward per agent and step during training. Lines: mean over training seeds; "
            "bands: 95% t interval over seeds. Horizontal lines: reference policies (dotted: "
            "random; dashed: static and heuristic; solid: expert; dash-dot: genie, which has "
            "global or future knowledge). An arrow names a reference outside the range."
        )
        if any(c.eval_seed_set == "validation" for c in curves):
            caption += " Curves of methods with one test checkpoint use validation seeds."
        section.pictures.append(
            _picture(out, "comparison", wide, narrow, tables.describe_curves(curves), caption)
        )
    _add_scores(section, finals, "comparison", out, look)
    strata = summary.strata(finals)
    if len(strata) > 1:
        section.tables.append(tables.aggregates(strata, finals, rng))
        profiles = {
            label: (
                stats.performance_profile(scores, THRESHOLDS),
                *stats.profile_band(scores, THRESHOLDS, rng),
            )
            for label, scores in strata.items()
        }
        figure = plots.profile_figure(profiles, THRESHOLDS, look)
        section.pictures.append(
            _picture(
                out,
                "profiles",
                figure,
                figure,
                tables.describe_profiles(profiles, THRESHOLDS),
                "Performance profiles over all tasks: share of training runs whose score exceeds "
                "the value on the axis. Bands: pointwise 95% stratified bootstrap. Further to "
                "the upper right is better; the vertical line is the expert.",
            )
        )
    return section


def _fewshot(
    rows: Sequence[Row], out: Path, look: plot_style.Look, rng: np.random.Generator
) -> Section:
    section = Section("fewshot", "Few-shot adaptation")
    curves = fewshot.fewshot_curves(rows, rng)
    if not curves:
        return section
    averaged = fewshot.average_over_tasks(curves) if len({c.panel for c in curves}) > 1 else []
    drawn = [*curves, *averaged]
    references = summary.references(rows)
    wide = plots.fewshot_figure(drawn, references, look)
    narrow = plots.fewshot_figure(drawn, references, look, columns=1)
    section.pictures.append(
        _picture(
            out,
            "fewshot",
            wide,
            narrow,
            tables.describe_fewshot(drawn),
            "Normalised score of the last checkpoint against the amount of target-task data, in "
            "nested subsets. Lines: mean over training seeds; bands: 95% t interval over seeds "
            "(last panel: over seeds averaged over tasks). Lower tick labels: share of the "
            "dataset.",
        )
    )
    section.tables.append(tables.fewshot(drawn))
    return section


def _other(
    rows: Sequence[Row], name: str, out: Path, look: plot_style.Look, rng: np.random.Generator
) -> Section:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower())
    section = Section(slug, name.replace("_", " ").capitalize())
    finals = summary.finals(rows, name, rng)
    if finals:
        section.tables.append(tables.headline(finals))
    _add_scores(section, finals, slug, out, look)
    return section


def _add_scores(
    section: Section, finals: Sequence[summary.Final], name: str, out: Path, look: plot_style.Look
) -> None:
    scored = [f for f in finals if f.score is not None]
    if not scored:
        return
    wide = plots.score_figure(scored, look)
    narrow = plots.score_figure(scored, look, columns=1)
    section.pictures.append(
        _picture(
            out,
            f"{name}_scores",
            wide,
            narrow,
            tables.describe_scores(scored),
            "Normalised score of the last checkpoint. Marker: mean; bar: 95% interval; ticks: "
            "single training seeds. Dotted line: random (0); solid line: expert (100).",
        )
    )


def _references(rows: Sequence[Row]) -> Section:
    section = Section("references", "Reference policies")
    references = summary.references(rows)
    if references:
        section.tables.append(tables.references(references))
        section.text.append(
            "A genie has global or future knowledge: an upper reference, not a competitor. "
            "Intervals are over evaluation episodes."
        )
    return section


def _health(
    rows: Sequence[Row], experiments: Sequence[str], rng: np.random.Generator
) -> list[Section]:
    found = [(e, f) for e in experiments for f in summary.finals(rows, e, rng) if f.extra]
    if not found:
        return []
    return [
        Section(
            "health",
            "Health and further diagnostics",
            ["Mean over training seeds of what each final row recorded beside its returns."],
            tables=[tables.health(found)],
        )
    ]


def _picture(out: Path, name: str, wide: Figure, narrow: Figure, alt: str, caption: str) -> Picture:
    folder = out / "figures"
    svg, _ = plots.save(wide, folder, name)
    small = svg if narrow is wide else plots.save(narrow, folder, f"{name}_narrow")[0]
    return Picture(name, alt, caption, _data_address(svg), _data_address(small))


def _data_address(svg: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.read_bytes()).decode("ascii")


def _methods(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(algorithm, label), known algorithms first in their fixed order."""
    pairs = dict.fromkeys((r.algorithm, r.label) for r in rows if r.kind == "learned")
    order = {name: i for i, name in enumerate(plot_style.COLOURS)}
    return sorted(pairs, key=lambda p: order.get(p[0], len(order)))


def _notices(rows: Sequence[Row]) -> list[str]:
    notices: list[str] = []
    scaled = summary.scales(rows)
    learned = [r for r in rows if r.kind == "learned"]
    missing = sorted({r.task for r in learned} - set(scaled))
    if missing:
        notices.append(
            f"No normalised score for {', '.join(missing)}: the rows lack test evaluations of "
            "the random or the expert policy. Run the suite's reference evaluations."
        )
    unfinished = {r.run for r in learned} - {r.run for r in learned if r.is_last}
    if unfinished:
        notices.append(
            f"{len(unfinished)} unfinished runs: they appear in curves, not in final scores."
        )
    groups: dict[tuple[object, ...], set[int]] = {}
    for r in learned:
        if r.is_last and r.eval_seed_set == "test":
            key = (r.experiment, r.task, r.dataset, r.label, r.fraction)
            groups.setdefault(key, set()).add(r.seed)
    single = sum(len(seeds) == 1 for seeds in groups.values())
    if single:
        notices.append(
            f"{single} of {len(groups)} results rest on one training seed: their interval is a "
            "bootstrap over evaluation episodes and says nothing about the spread of seeds. "
            "They are marked with †."
        )
    return notices


def _facts(rows: Sequence[Row], failures: Sequence[Failure]) -> list[tuple[str, str]]:
    learned = [r for r in rows if r.kind == "learned"]
    return [
        ("Finished runs", str(len({r.run for r in learned if r.is_last}))),
        ("Failed runs", str(len(failures))),
        ("Tasks", ", ".join(dict.fromkeys(r.task for r in rows))),
        ("Methods", str(len({r.label for r in learned}))),
        ("Evaluations", str(len(rows))),
    ]


def _versions(rows: Sequence[Row]) -> Table:
    """What made the rows, and what made this page."""

    def seen(values: Sequence[str | None]) -> str:
        return ", ".join(dict.fromkeys(v or "unknown" for v in values))

    lines = [
        ("networld (rows)", seen([r.version for r in rows])),
        ("git commit (rows)", seen([r.git_commit for r in rows])),
        ("datasets", seen(sorted({r.dataset for r in rows if r.dataset}))),
        ("Python (report)", platform.python_version()),
        ("NumPy (report)", np.__version__),
        ("Matplotlib (report)", matplotlib.__version__),
    ]
    configurations: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.kind == "learned":
            label = plot_style.display(row.label)
            configurations.setdefault(label, {})[row.config_hash or "unknown"] = None
    lines += [(f"configuration of {k}", ", ".join(v)) for k, v in configurations.items()]
    return Table.of_text("What made these numbers", ("Item", "Value"), lines)


def _template() -> str:
    return (Path(__file__).parent / "templates" / "report.html.j2").read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
