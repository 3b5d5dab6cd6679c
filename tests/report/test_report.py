import itertools
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from networld_algos.cli import command
from networld_algos.cli.report import data_scores
from networld_algos.report import axes, scoring, style, summary, table
from networld_algos.report.facts import notices
from networld_algos.report.page import write_report
from networld_algos.report.sections import (
    ablation,
    comparison_figures,
    comparison_tables,
    fewshot,
    responses,
)
from networld_algos.report.sections.fewshot_curves import (
    average_over_tasks,
    fewshot_curves,
    pretraining_gains,
)
from networld_algos.report.source import ordered
from networld_algos.report.table import Cell, Column, Table
from networld_algos.results.folder import (
    Failure,
    read_failures,
    read_suite,
    record_command,
    write_failure,
)
from networld_algos.results.rows import Row, read_rows, write_rows
from networld_algos.results.stats import Interval

REFERENCES = {
    "cbf": {
        "random": ("random", 2.81),
        "mrt": ("heuristic", 4.56),
        "slnr": ("heuristic", 6.12),
        "expert": ("expert", 6.71),
        "genie": ("genie", 7.46),
    },
    "rb": {
        "random": ("random", -2.77),
        "hard": ("static", -3.04),
        "backlog": ("heuristic", -2.28),
        "capped": ("static", -1.25),
        "expert": ("expert", -0.47),
        "genie": ("genie", -0.39),
    },
    "ns": {
        "random": ("random", 0.819),
        "demand": ("heuristic", 0.903),
        "hard": ("static", 0.917),
        "static": ("static", 0.942),
        "expert": ("expert", 0.961),
        "genie": ("genie", 0.968),
    },
}
FINAL_SCORES = {  # (cbf, rb, ns), normalised
    "networld": (93, 94, 99),
    "bc": (85, 74, 98),
    "ma-iql": (80, 68, 97),
    "ma-cql": (66, 40, 90),
    "ma-dt": (78, 55, 95),
    "ma-dd": (82, 66, 98),
}
VARIANTS = {  # few-shot: start and end of the curve, normalised
    "networld": (52, 95),
    "networld (from scratch)": (22, 94),
    "networld (no fine-tuning)": (45, 71),
    "bc": (18, 90),
    "ma-iql": (10, 86),
}


def make_row(**changes) -> Row:
    values = {
        "suite": "cpu",
        "experiment": "comparison",
        "task": "cbf",
        "dataset": "networld/cbf/expert-v0",
        "algorithm": "bc",
        "kind": "learned",
        "role": None,
        "label": "bc",
        "config_hash": "1f2e3d4c",
        "seed": 0,
        "fraction": 1.0,
        "episodes": 500,
        "updates": 1000,
        "is_last": True,
        "eval_seed_set": "test",
        "episode_returns": (5.0, 6.0),
        "score": None,
        "latency_p50_ms": 1.5,
        "latency_p99_ms": 2.5,
        "bytes_per_step": 0.0,
        "train_seconds": 60.0,
        "version": "0.1.0",
        "git_commit": "0123abc",
    }
    return Row(**{**values, **changes})


def reference_rows(episodes: int = 200, seed: int = 0) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows = []
    for task, policies in REFERENCES.items():
        gap = policies["expert"][1] - policies["random"][1]
        for name, (role, mean) in policies.items():
            rows.append(
                make_row(
                    experiment="reference",
                    task=task,
                    dataset=None,
                    algorithm=name,
                    kind="reference",
                    role=role,
                    label=name,
                    config_hash=None,
                    seed=-1,
                    fraction=None,
                    episodes=None,
                    updates=None,
                    episode_returns=rng.normal(mean, 0.08 * gap, episodes),
                    bytes_per_step=None,
                    train_seconds=None,
                )
            )
    return rows


def returns_at(task: str, score: float, rng: np.random.Generator, episodes: int = 16):
    random, expert = REFERENCES[task]["random"][1], REFERENCES[task]["expert"][1]
    gap = expert - random
    return random + gap * (score / 100 + rng.normal(0, 0.08, episodes))


def comparison_rows(seeds: int = 5, checkpoints: int = 11, seed: int = 1) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows = []
    for algorithm, finals in FINAL_SCORES.items():
        for task, final in zip(REFERENCES, finals, strict=True):
            for s in range(seeds):
                end = final + rng.normal(0, 3)
                for k in range(checkpoints):
                    x = k / (checkpoints - 1)
                    score = end * (1 - np.exp(-4.5 * x)) + rng.normal(0, 2)
                    extra = {"latent_std": 1.0 + 0.02 * s, "effective_rank": 4.6}
                    rows.append(
                        make_row(
                            task=task,
                            dataset=f"networld/{task}/expert-v0",
                            algorithm=algorithm,
                            label=algorithm,
                            seed=s,
                            updates=2000 * k,
                            is_last=k == checkpoints - 1,
                            episode_returns=returns_at(task, score, rng),
                            bytes_per_step=128.0 if algorithm == "networld" else 0.0,
                            latency_p50_ms=float(rng.uniform(1, 12)),
                            extra=extra if algorithm == "networld" else {},
                        )
                    )
    return rows


def fewshot_rows(seeds: int = 3, seed: int = 2) -> list[Row]:
    rng = np.random.default_rng(seed)
    fractions = (0.002, 0.01, 0.033, 0.1, 0.33, 1.0)
    rows = []
    for label, (start, end) in VARIANTS.items():
        for i, task in enumerate(REFERENCES):
            for s in range(seeds):
                for j, fraction in enumerate(fractions):
                    x = j / (len(fractions) - 1)
                    score = start + (end - start) * x ** (0.5 + 0.3 * i) + rng.normal(0, 3)
                    rows.append(
                        make_row(
                            experiment="fewshot",
                            task=task,
                            dataset=f"networld/{task}/expert-v0",
                            algorithm=label.split()[0],
                            label=label,
                            seed=s,
                            fraction=fraction,
                            episodes=max(1, round(500 * fraction)),
                            episode_returns=returns_at(task, score, rng),
                        )
                    )
    return rows


ABLATIONS = {  # change in score on (cbf, rb, ns)
    "networld": (0, 0, 0),
    "no message": (-9, -22, -1),
    "one-hot": (-2, -5, -1),
    "no guidance": (1, -3, 0),
}


def learned(task: str, score: float, rng: np.random.Generator, **changes) -> Row:
    """A final row of NetWorld with a given normalised score."""
    values = {
        "task": task,
        "dataset": f"networld/{task}/expert-v0",
        "algorithm": "networld",
        "label": "networld",
        "bytes_per_step": 128.0,
        "episode_returns": returns_at(task, score, rng),
    }
    return make_row(**{**values, **changes})


def ablation_rows(seeds: int = 3, seed: int = 3) -> list[Row]:
    """Seeds differ by 6 points, the same for every ablation: only pairing sees small changes."""
    rng = np.random.default_rng(seed)
    return [
        learned(task, 90 + change + 6 * s, rng, experiment="ablation", label=label, seed=s)
        for label, changes in ABLATIONS.items()
        for task, change in zip(REFERENCES, changes, strict=True)
        for s in range(seeds)
    ]


def robustness_rows(seeds: int = 3, seed: int = 4) -> list[Row]:
    """Agents, with references twice as far from zero at each level, and lost messages."""
    rng = np.random.default_rng(seed)
    rows = []
    for agents in (7, 19, 91):
        condition = {"factor": "agents", "level": float(agents)}
        rows += [
            replace(r, **condition, episode_returns=tuple(2 * x for x in r.episode_returns))
            for r in reference_rows(20)
        ]
        rows += [
            replace(row, episode_returns=tuple(2 * x for x in row.episode_returns))
            for task in REFERENCES
            for s in range(seeds)
            for row in [learned(task, 88, rng, experiment="robustness", seed=s, **condition)]
        ]
    return rows + [
        learned(
            task,
            95 - (60 if label == "networld" else 0) * loss,
            rng,
            experiment="robustness",
            algorithm=label,
            label=label,
            seed=s,
            factor="message_loss",
            level=loss,
        )
        for label in ("networld", "bc")
        for task in REFERENCES
        for s in range(seeds)
        for loss in (0.0, 0.3, 0.6, 0.9)
    ]


def cost_rows(seeds: int = 3, seed: int = 5) -> list[Row]:
    rng = np.random.default_rng(seed)
    settings = {"steps": (1, 2, 5, 10, 20), "candidates": (1, 4, 16)}
    return [
        learned(
            task,
            93 - 20 / level if factor == "steps" else 90 + level / 5,
            rng,
            experiment="cost",
            seed=s,
            factor=factor,
            level=level,
            latency_p50_ms=4 + 3.0 * level,
            extra={"parameters": 312_345, "decision_ms_one_agent": 1.0 + 0.4 * level},
        )
        for task in REFERENCES
        for factor, levels in settings.items()
        for level in levels
        for s in range(seeds)
    ]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return reference_rows() + comparison_rows() + fewshot_rows()


@pytest.fixture(scope="module")
def report(rows, tmp_path_factory) -> Path:
    failure = Failure(
        suite="cpu",
        run="comparison / cbf / ma-cql / seed 9",
        error="ValueError: <nan>",
        traceback="T",
    )
    return write_report(
        rows,
        tmp_path_factory.mktemp("report"),
        "Results & figures",
        failures=[failure],
        commands=["networld bench --suite cpu --jobs 2"],
    )


def value(interval: Interval | None) -> float:
    assert interval is not None
    return interval.value


# Rows


def test_rows_survive_a_round_trip(tmp_path):
    given = [*reference_rows(3), make_row(extra={"latent_std": 1.0, "loss": float("nan")})]
    path = write_rows(tmp_path / "a" / "run.jsonl", given)
    read = read_rows(path)
    assert read[:-1] == given[:-1]
    assert read[-1].extra["latent_std"] == 1.0
    assert np.isnan(read[-1].extra["loss"])
    assert "NaN" not in path.read_text()
    write_rows(tmp_path / "b.jsonl", given[:1])
    assert len(read_rows(tmp_path)) == len(given) + 1
    assert [p.name for p in sorted(tmp_path.rglob("*")) if p.is_file()] == ["run.jsonl", "b.jsonl"]


def test_rows_take_numpy_scalars():
    row = make_row(
        seed=np.int64(3), fraction=np.float32(0.5), episode_returns=np.array([1, 2], np.float32)
    )
    assert json.loads(row.to_json())["seed"] == 3
    assert row.mean_return == 1.5


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"seed": 1.0}, TypeError, "seed must be an integer"),
        ({"seed": True}, TypeError, "seed must be an integer"),
        ({"task": 3}, TypeError, "task has the wrong type"),
        ({"is_last": 1}, TypeError, "is_last has the wrong type"),
        ({"kind": "reference"}, ValueError, "role of a reference row"),
        ({"kind": "reference", "role": "expert"}, ValueError, "seed of a reference row must be -1"),
        ({"role": "expert"}, ValueError, "role of a learned row"),
        ({"kind": "other"}, ValueError, "kind must be one of"),
        ({"fraction": 0.0}, ValueError, r"fraction must be in \(0, 1\], got 0.0"),
        ({"episode_returns": ()}, ValueError, "at least one episode"),
        ({"episode_returns": (1.0, float("nan"))}, ValueError, "episode_returns must be finite"),
        ({"episode_returns": "1.0"}, TypeError, "episode_returns must be a sequence"),
        ({"latency_p50_ms": float("inf")}, ValueError, "latency_p50_ms must be finite"),
        ({"extra": {"a": "b"}}, TypeError, r"extra\['a'\] must be a number"),
    ],
)
def test_bad_rows_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        make_row(**change)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"suite": "cpu"', "line 2: not a result row"),
        ("[1, 2]", "a row is a JSON object, got list"),
        ('{"suite": "cpu", "colour": 1}', r"unknown keys \['colour'\]"),
        ('{"suite": "cpu"}', r"missing keys \['algorithm'"),
    ],
)
def test_corrupt_lines_are_named(tmp_path, line, message):
    path = tmp_path / "run.jsonl"
    path.write_text(make_row().to_json() + "\n" + line + "\n")
    with pytest.raises(ValueError, match=message) as caught:
        read_rows(path)
    assert "run.jsonl, line 2" in str(caught.value)
    assert "start its suite again" in str(caught.value)


def test_absent_rows_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="run a suite first"):
        read_rows(tmp_path / "none.jsonl")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_rows(tmp_path / "run.jsonl", [make_row()])
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_rows(path, [make_row(seed=1)])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_failures_survive_a_round_trip(tmp_path):
    failure = Failure(suite="cpu", run="r", error="e", traceback="t\nu")
    write_failure(tmp_path / "x.failure.json", failure)
    assert read_failures(tmp_path) == [failure]
    with pytest.raises(ValueError, match=r"must end in \.failure\.json"):
        write_failure(tmp_path / "x.json", failure)
    (tmp_path / "y.failure.json").write_text("{")
    with pytest.raises(ValueError, match=r"y\.failure\.json: not a failure record"):
        read_failures(tmp_path)


# Summaries


def test_scores_come_from_the_reference_rows_of_the_task():
    refs = [r for r in reference_rows() if r.task == "rb"]
    random, expert = (
        np.mean(next(r for r in refs if r.role == role).episode_returns)
        for role in ("random", "expert")
    )
    row = make_row(task="rb", episode_returns=(-1.0, -1.5), score=12345.0)
    other = replace(row, seed=1, episode_returns=(-0.5,))
    (final,) = summary.finals([*refs, row, other], "comparison", np.random.default_rng(0))
    expected = 100 * (np.array([-1.25, -0.5]) - random) / (expert - random)
    assert final.seed_scores == pytest.approx(expected)
    assert value(final.score) == pytest.approx(expected.mean())


def test_the_headline_is_the_last_checkpoint_and_never_the_best():
    refs = reference_rows()
    run = [
        make_row(updates=u, is_last=u == 3, episode_returns=(r,))
        for u, r in enumerate((3, 5, 9, 4))
    ]
    validation = [
        make_row(updates=u, is_last=u == 3, eval_seed_set="validation", episode_returns=(r,))
        for u, r in enumerate((0, 8, 1, 2))
    ]
    rng = np.random.default_rng(0)
    scale = scoring.scales(refs)["cbf", scoring.PLAIN]
    (final,) = summary.finals([*refs, *run], "comparison", rng)
    assert final.reward.value == 4.0
    assert (final.best_by, value(final.best_score)) == (
        "test",
        pytest.approx(100 * (9 - scale[0]) / (scale[1] - scale[0])),
    )
    (final,) = summary.finals([*refs, *run, *validation], "comparison", rng)
    assert final.reward.value == 4.0
    assert (final.best_by, value(final.best_score)) == (
        "validation",
        pytest.approx(100 * (5 - scale[0]) / (scale[1] - scale[0])),
    )


def test_curves_hold_the_checkpoints_all_seeds_share_and_one_seed_set():
    rows = [
        make_row(seed=s, updates=u, is_last=False, episode_returns=(float(10 * s + u),))
        for s, updates in ((0, (0, 5, 10)), (1, (0, 10)))
        for u in updates
    ]
    (curve,) = summary.learning_curves(rows, "comparison", np.random.default_rng(0))
    assert curve.x.tolist() == [0, 10]
    assert [p.value for p in curve.points] == [5.0, 15.0]
    validation = [replace(r, eval_seed_set="validation") for r in rows]
    last = [make_row(seed=s, updates=10) for s in (0, 1)]
    (curve,) = summary.learning_curves([*validation, *last], "comparison", np.random.default_rng(0))
    assert curve.eval_seed_set == "validation"
    assert [p.value for p in curve.points] == [5.0, 15.0]


def test_two_rows_of_one_run_are_refused():
    rows = [*reference_rows(3), make_row(config_hash="aa"), make_row(config_hash="bb")]
    with pytest.raises(ValueError, match=r"two final rows .* aa and bb.* own label"):
        summary.finals(rows, "comparison", np.random.default_rng(0))


def test_two_experts_are_refused():
    rows = reference_rows(3)
    expert = next(r for r in rows if r.role == "expert")
    with pytest.raises(ValueError, match=r"several expert policies: \['expert', 'other'\]"):
        scoring.scales([*rows, replace(expert, algorithm="other")])


def test_few_shot_curves_and_their_average(rows):
    curves = fewshot_curves(rows, np.random.default_rng(0))
    assert {c.label for c in curves} == set(VARIANTS)
    assert len(curves) == 3 * len(VARIANTS)
    averaged = {c.label: c for c in average_over_tasks(curves)}
    for label, mean in averaged.items():
        parts = [c for c in curves if c.label == label]
        by_hand = np.mean([[p.value for p in c.points] for c in parts], axis=0)
        assert [p.value for p in mean.points] == pytest.approx(by_hand)
        assert value(mean.area) == pytest.approx(np.mean([value(c.area) for c in parts]))
        assert mean.episodes.tolist() == [1, 5, 16, 50, 165, 500]
    assert value(averaged["networld"].area) > value(averaged["networld (from scratch)"].area)
    assert np.isnan(averaged["networld (no fine-tuning)"].reach)


def test_pretraining_gains_are_paired_by_seed_and_put_into_words():
    rng = np.random.default_rng(0)
    rows = reference_rows(20)
    for label, start in (("networld", 30), ("networld (from scratch)", 10)):
        for s in range(3):
            for fraction, episodes, gain in ((0.01, 5, 0), (1.0, 500, 40)):
                score = start + gain + 25 * s  # a wide spread over seeds that both share
                changes = {"label": label, "seed": s, "fraction": fraction, "episodes": episodes}
                rows.append(learned("cbf", score, rng, experiment="fewshot", **changes))
    curves = fewshot_curves(rows, rng)
    (gain,) = pretraining_gains(curves, rng)
    assert (gain.label, gain.x.tolist(), gain.episodes.tolist()) == (
        "networld",
        [0.01, 1.0],
        [5, 500],
    )
    with_, without = (
        next(c for c in curves if c.label == name)
        for name in ("networld", "networld (from scratch)")
    )
    differences = [with_.by_seed[s][0] - without.by_seed[s][0] for s in range(3)]
    assert gain.points[0].value == pytest.approx(np.mean(differences))
    assert gain.points[0].low > 0
    assert without.points[0].high > with_.points[0].low  # not to be seen without pairing
    text = fewshot.gain_sentence([gain])
    assert "a gain over the same method from scratch in 1 of 1 cases: CBF (5 episodes)" in text
    one = [r for r in rows if r.seed < 1]
    text = fewshot.gain_sentence(pretraining_gains(fewshot_curves(one, rng), rng))
    assert "one training seed" in text


# Conditions and ablations


def test_a_changed_environment_is_scored_by_its_own_references():
    rng = np.random.default_rng(0)
    rows = robustness_rows() + reference_rows(20)
    found = responses.responses(summary.finals(rows, "robustness", rng), rng)
    agents = [r for r in found if r.factor == "agents"]
    assert [r.levels for r in agents] == [[7, 19, 91]] * 3
    for response in agents:  # rewards are doubled; on the plain scale scores would be far off
        assert [p.value for p in response.points] == pytest.approx([88] * 3, abs=6)
    own = [r for r in rows if r.kind == "learned" or r.factor is None]
    left = responses.responses(summary.finals(own, "robustness", rng), rng)
    assert {r.factor for r in left} == {"message_loss"}
    (notice,) = (n for n in notices(own) if n.startswith("Left out"))
    assert "cbf at agents 7" in notice


def test_seeds_with_other_settings_are_named():
    rows = [make_row(), make_row(seed=1), make_row(label="x"), make_row(label="x", seed=1)]
    assert not [n for n in notices(rows) if "different settings" in n]
    for change in ({"config_hash": "0"}, {"updates": 5}):
        other = [*rows[:3], make_row(label="x", seed=1, **change)]
        (notice,) = (n for n in notices(other) if "different settings" in n)
        assert "x (comparison, networld/cbf/expert-v0)" in notice


def test_loss_of_messages_is_scored_by_the_plain_references_and_its_change_is_paired():
    rng = np.random.default_rng(0)
    rows = robustness_rows() + reference_rows(20)
    finals = summary.finals(rows, "robustness", rng)
    found = [r for r in responses.responses(finals, rng) if r.factor == "message_loss"]
    assert {(r.label, r.panel[0]) for r in found} == {
        (label, task) for label in ("networld", "bc") for task in REFERENCES
    }
    for r in found:
        assert r.levels == [0.0, 0.3, 0.6, 0.9]
        first, last = (f.seed_scores for f in (r.finals[0], r.finals[-1]))
        assert first is not None
        assert last is not None
        assert value(r.change) == pytest.approx((last - first).mean())
        assert value(r.change) == pytest.approx(-54 if r.label == "networld" else 0, abs=8)


def test_ablations_are_differences_paired_by_seed():
    rng = np.random.default_rng(0)
    finals = summary.finals(reference_rows(20) + ablation_rows(), "ablation", rng)
    found = ablation.ablations(finals, rng)
    assert {a.label for a in found} == set(ABLATIONS) - {"networld"}
    assert len(found) == 3 * 4  # three tasks and their mean
    for a in found:
        assert a.change.value == pytest.approx(a.score.value - a.base.value)
        width, plain = a.change.high - a.change.low, a.base.high - a.base.low
        assert width < 0.8 * plain  # the spread that seeds share is taken out
    by_key = {(a.label, a.panel[0]): a for a in found}
    mean = np.mean([by_key["no message", t].change.value for t in REFERENCES])
    assert by_key["no message", "mean over tasks"].change.value == pytest.approx(mean)
    assert table.verdict(by_key["no message", "rb"].change) == "loss"
    assert table.verdict(by_key["no guidance", "cbf"].change) == "undecided"
    assert ablation.ablations([f for f in finals if f.label != "networld"], rng) == []


def test_the_best_two_are_marked_only_where_intervals_separate_them():
    rng = np.random.default_rng(0)
    panel = ("cbf", "networld/cbf/expert-v0")

    def marks(levels: dict[str, float], seeds: int = 3) -> dict[str, str]:
        rows = reference_rows(20)
        for label, score in levels.items():
            for s in range(seeds):  # seeds at -1, 0, 1: an interval of +- 2.5
                reward = returns_at("cbf", score + s - 1, np.random.default_rng(0), 400)
                rows.append(make_row(label=label, algorithm="bc", seed=s, episode_returns=reward))
        finals = summary.finals(rows, "comparison", rng)
        return {k[0]: mark for k, mark in comparison_tables.leaders(finals, panel).items()}

    assert marks({"a": 60, "b": 90, "c": 75}) == {"b": "1", "c": "2"}
    assert marks({"a": 60, "b": 90, "c": 62}) == {"b": "1"}
    assert marks({"a": 60, "b": 90, "c": 88}) == {"b": "1\N{EN DASH}2", "c": "1\N{EN DASH}2"}
    assert marks({"a": 60, "b": 62, "c": 61}) == {}
    assert marks({"a": 60, "b": 90, "c": 75}, seeds=1) == {}


def test_training_data_is_drawn_on_the_scale_of_the_suite():
    rows = reference_rows(20)
    random, expert = scoring.scales(rows)["cbf", scoring.PLAIN]
    middle = (random + expert) / 2
    for u, offset in ((0, -0.5), (9, 0.5)):
        rows.append(make_row(updates=u, is_last=u > 0, episode_returns=(middle + offset,)))
    assert scoring.behaviours(rows, {"mine": 50.0}) == {}
    found = scoring.behaviours(rows, {"networld/cbf/expert-v0": 50.0})
    ((panel, data),) = found.items()
    assert (panel[0], value(data.score), value(data.reward)) == ("cbf", 50, pytest.approx(middle))
    curves = summary.learning_curves(rows, "comparison", np.random.default_rng(0))
    look = style.styles([("bc", "bc")])
    references = scoring.references(rows)
    (ax,) = comparison_figures.comparison_figure(curves, references, look, behaviours=found).axes
    assert any(list(line.get_ydata()) == [data.reward.value] * 2 for line in ax.lines)


def test_datasets_of_the_catalogue_score_in_the_order_of_their_quality():
    scores = data_scores()
    for task in REFERENCES:
        random, mixed, medium, expert = (
            scores[f"networld/{task}/{quality}-v0"]
            for quality in ("random", "mixed", "medium", "expert")
        )
        assert abs(random) < 10
        assert random < min(mixed, medium)
        assert max(mixed, medium) < expert < 103


def test_rows_are_ordered_and_panels_arranged_by_quality_and_task():
    tasks, data = ("ns", "cbf", "rb"), ("mixed", "expert")
    rows = [
        make_row(task=t, dataset=f"networld/{t}/{q}-v0", algorithm=a, label=a)
        for t in tasks
        for q in data
        for a in ("zeta", "bc", "networld")
    ]
    found = ordered(rows)
    assert [r.label for r in found[:3]] == ["networld", "bc", "zeta"]
    panels = summary.panels(found, "comparison")
    assert [(t, summary.quality((t, d))) for t, d in panels[:3]] == [
        ("cbf", "expert"),
        ("cbf", "mixed"),
        ("rb", "expert"),
    ]
    rows_of = [t for t, _ in axes.arranged(panels)]
    assert rows_of == ["cbf", "rb", "ns"] * 2


# Figures


def _luminance_and_lab(colour: str, vision: np.ndarray) -> tuple[float, np.ndarray]:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    luminance = float(to_xyz[1] @ linear)
    xyz = to_xyz @ np.clip(vision @ linear, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return luminance, np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(
    "vision",  # Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009, severity 1
    [
        np.eye(3),
        np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
        np.array([[0.3673, 0.8607, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
        np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
    ],
    ids=["normal", "protanopia", "deuteranopia", "tritanopia"],
)
def test_colours_are_told_apart_in_every_colour_vision(vision):
    seen = [_luminance_and_lab(c, vision) for c in style.COLOURS.values()]
    assert min(1.05 / (luminance + 0.05) for luminance, _ in seen) >= 3
    apart = [np.linalg.norm(a - b) for i, (_, a) in enumerate(seen) for _, b in seen[i + 1 :]]
    assert min(apart) >= 16


def test_a_label_looks_the_same_in_every_figure():
    pairs = [("bc", "bc"), ("networld", "networld"), ("networld", "networld (from scratch)")]
    look = style.styles(pairs)
    assert look["networld"]["color"] == style.COLOURS["networld"]
    assert look["bc"]["marker"] != look["networld"]["marker"]
    variant = look["networld (from scratch)"]
    assert variant["marker"] == look["networld"]["marker"]
    assert variant["linestyle"] != look["networld"]["linestyle"]
    assert style.display("ma-iql (mean field)") == "MA-IQL (mean field)"
    assert style.display("networld, loss 30%") == "NetWorld, loss 30%"
    assert style.display("bcq") == "bcq"


def test_comparison_draws_every_method_and_names_every_reference(rows):
    references = scoring.references(rows)
    curves = summary.learning_curves(rows, "comparison", np.random.default_rng(0))
    look = style.styles([(c.algorithm, c.label) for c in curves])
    figure = comparison_figures.comparison_figure(curves, references, look)
    figure.draw_without_rendering()
    assert len(figure.axes) == 3
    for ax, task in zip(figure.axes, REFERENCES, strict=True):
        bands = [c for c in ax.collections if len(c.get_paths())]
        assert len(bands) == len(FINAL_SCORES)
        named = {text.get_text().split()[0]: text for text in ax.texts}
        assert set(named) == set(REFERENCES[task])
        low, high = ax.get_ylim()
        for name, (_, mean) in REFERENCES[task].items():
            assert ("↓" in named[name].get_text()) == (mean < low)
            assert mean < high
        boxes = sorted((Text.get_window_extent(t) for t in named.values()), key=lambda b: b.y0)
        for below, above in itertools.pairwise(boxes):
            assert above.y0 - below.y0 > 0.6 * below.height  # no overlap of letters
        drawn = {tuple(np.asarray(line.get_ydata())) for line in ax.lines}
        for curve in curves:
            if curve.panel[0] == task:
                assert tuple(p.value for p in curve.points) in drawn
    names = {text.get_text() for text in figure.legends[0].get_texts()}
    assert names == {"NetWorld", "BC", "MA-IQL", "MA-CQL", "MA-DT", "MA-DD"}


def test_labels_move_as_little_as_needed():
    assert axes.spread([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])
    assert axes.spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    assert axes.spread([0.0, 0.0, 0.02, 0.9], 0.1) == pytest.approx([0.0, 0.1, 0.2, 0.9])
    assert axes.spread([0.4, 1.0, 1.0], 0.2) == pytest.approx([0.4, 0.8, 1.0])


def test_the_expert_is_always_in_range():
    rows = [*reference_rows(5), make_row(episode_returns=(-40.0,))]
    curves = summary.learning_curves(rows, "comparison", np.random.default_rng(0))
    look = style.styles([("bc", "bc")])
    (ax,) = comparison_figures.comparison_figure(curves, scoring.references(rows), look).axes
    low, high = ax.get_ylim()
    assert low < -40
    assert high > REFERENCES["cbf"]["expert"][1]


def test_a_far_reference_does_not_flatten_the_curves():
    refs = [r for r in reference_rows() if r.task == "cbf"]
    far = replace(refs[1], algorithm="far", label="far", episode_returns=(-500.0, -501.0))
    rows = [*refs, far, *comparison_rows(2, 3)]
    curves = [
        c
        for c in summary.learning_curves(rows, "comparison", np.random.default_rng(0))
        if c.panel[0] == "cbf"
    ]
    look = style.styles([(c.algorithm, c.label) for c in curves])
    (ax,) = comparison_figures.comparison_figure(curves, scoring.references(rows), look).axes
    assert ax.get_ylim()[0] > 0
    assert "far ↓ -500" in {text.get_text() for text in ax.texts}


# The page


class Page(HTMLParser):
    VOID = frozenset({"meta", "img", "source", "br", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[list[str]] = []
        self.heads: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.cells.append([])
        if tag == "td":
            self.cells[-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["button"]:
            self.heads.append(data.strip())
        if "td" in self.open and self.open[-1] not in ("small", "sup"):
            self.cells[-1][-1] += data.strip()


def test_page_is_well_formed_and_loads_nothing(report):
    text = report.read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert not re.search(r"""(src|href|srcset)=["'](?!data:|#)""", text)
    assert "@import" not in text
    assert "url(" not in text
    images = [a for tag, a in page.tags if tag == "img"]
    assert len(images) == 4
    assert all(len(a["alt"] or "") > 60 for a in images)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = {a["href"] for tag, a in page.tags if tag == "a"}
    assert links <= {f"#{i}" for i in ids}
    assert all(a["aria-labelledby"] in ids for tag, a in page.tags if tag == "table")


def test_page_states_the_last_checkpoint_of_every_method(report, rows):
    page = Page()
    page.feed(report.read_text())
    finals = summary.finals(rows, "comparison", np.random.default_rng(0))
    assert len(finals) == 18
    for final in finals:
        line = next(
            c for c in page.cells if c[:2] == [final.panel[0].upper(), style.display(final.label)]
        )
        assert line[2] == f"{value(final.score):.1f}"
        assert line[3].replace("\N{MINUS SIGN}", "-") == f"{final.reward.value:.3f}"
        assert line[4] == "5"


def test_page_tells_failures_commands_and_versions(report):
    text = report.read_text()
    assert "comparison / cbf / ma-cql / seed 9" in text
    assert "ValueError: &lt;nan&gt;" in text
    assert "Results &amp; figures" in text
    assert "networld bench --suite cpu --jobs 2" in text
    for expected in ("0123abc", "1f2e3d4c", "0.1.0", "effective_rank"):
        assert expected in text


def test_figures_are_written_as_svg_and_png(report):
    names = {p.name for p in (report.parent / "figures").iterdir()}
    stems = {n.removesuffix(".svg") for n in names if n.endswith(".svg")}
    assert stems >= {"comparison", "comparison_narrow", "fewshot", "comparison_scores", "profiles"}
    wide = {s for s in stems if not s.endswith("_narrow")}
    assert names == {f"{s}.svg" for s in stems} | {f"{s}.png" for s in wide}
    with Image.open(report.parent / "figures" / "comparison.png") as image:
        assert image.width == pytest.approx(7.16 * 300, abs=2)
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 20


def test_equal_rows_give_equal_bytes(tmp_path):
    rows = [r for r in reference_rows(4) + comparison_rows(2, 2) if r.task == "ns"][:12]
    first = write_report(rows, tmp_path / "a", "t").read_bytes()
    assert write_report(rows, tmp_path / "b", "t").read_bytes() == first


def crowd() -> list[summary.Curve]:
    """Ten methods of two algorithms on two tasks; ``a`` has a plain name, of b the 3rd is best."""
    finals = {"a": 1.0, **{f"a, in another way {i}": 2.0 for i in range(4)}}
    finals |= {f"b, in another way {i}": float(i) for i in range(4)} | {"b, in another way 4": -8.0}
    return [
        summary.Curve(
            (task, "d"), label[0], label, np.array([1.0]), [Interval(y, y, y, 2, "t over seeds")]
        )
        for task in ("rb", "ns")
        for label, y in finals.items()
    ]


def test_a_crowded_comparison_keeps_one_variant_of_each_algorithm():
    curves = crowd()
    assert {c.label for c in summary.leading(curves)} == {"a", "b, in another way 3"}
    assert len(summary.leading(curves)) == 4
    few = curves[: summary.MOST_CURVES]
    assert summary.leading(few) == few


def test_many_methods_leave_the_axes_their_height():
    curves = crowd()
    pairs = dict.fromkeys((c.algorithm, c.label) for c in curves)
    look = style.styles(list(pairs))
    heights = []
    for drawn in (summary.leading(curves), curves):
        figure = comparison_figures.comparison_figure(drawn, {}, look, 1)
        figure.draw_without_rendering()
        heights.append(figure.axes[0].get_window_extent().height)
    assert heights[1] > 0.85 * heights[0]


def test_a_score_far_below_random_is_named_and_does_not_squeeze_the_rest():
    rows = [r for r in reference_rows(4) + comparison_rows(3, 2) if r.task == "rb"]
    poor = [replace(r, episode_returns=returns_at("rb", -400.0, np.random.default_rng(0)))
            if r.algorithm == "bc" else r for r in rows]  # fmt: skip
    finals = summary.finals(poor, "comparison", np.random.default_rng(0))
    look = style.styles(list(dict.fromkeys((f.algorithm, f.label) for f in finals)))
    (ax,) = comparison_figures.score_figure(finals, look).axes
    assert ax.get_xlim()[0] > -60.0
    assert any(re.fullmatch(r"\N{LEFTWARDS ARROW} -(39|40)\d", t.get_text()) for t in ax.texts)


def test_tables_are_written_as_markdown_too(tmp_path):
    rows = [r for r in reference_rows(4) + comparison_rows(2, 2) if r.task == "ns"]
    write_report(rows, tmp_path, "A title")
    text = (tmp_path / "tables.md").read_text()
    assert text.startswith("# A title\n\n## Comparison\n\n### Scores\n\nNormalised score")
    scores = text.split("### ")[1].splitlines()[4:]
    assert scores[0] == "| Method | NS |"
    assert scores[1] == "| --- | ---: |"
    assert all(re.fullmatch(r"\| [^|]+ \| [^|]+ \|", line) for line in scores[2:] if line)
    cells = [Cell("a|b", 1.0, "[0, 2]", strong=True, mark="1")]
    odd = Table("T", "", [Column("x|y")], [cells]).markdown
    assert odd == "### T\n\n| x\\|y |\n| ---: |\n| **a\\|b**<sup>1</sup> [0, 2] |"


def test_one_seed_and_missing_references_are_said(tmp_path):
    rows = [r for r in reference_rows(4) if r.task != "rb"] + comparison_rows(1, 2)
    text = write_report(rows, tmp_path, "t").read_text()
    assert "No normalised score for rb" in text
    assert "18 of 18 results rest on one training seed" in text
    assert "] †" in text


def test_reports_of_no_or_several_suites_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rows of one suite"):
        write_report([], tmp_path, "t")
    with pytest.raises(ValueError, match=r"\['cpu', 'demo'\]"):
        write_report([make_row(), make_row(suite="demo")], tmp_path, "t")


def test_reporting_imports_neither_torch_nor_an_environment():
    code = """
import sys
import networld_algos.report.page
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"torch", "networld_envs", "gymnasium", "pettingzoo", "minari", "pygame"}))
print("matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]


def test_page_of_every_experiment(tmp_path):
    """Each has its figure and its table, with the numbers of the rows."""
    every = reference_rows(10) + ablation_rows(2) + robustness_rows(2) + cost_rows(2)
    rows = [r for r in every if r.task == "ns"]
    rows += [replace(r, experiment="mine") for r in rows if r.experiment == "cost" and r.level == 1]
    path = write_report(rows, tmp_path, "t")
    page = Page()
    page.feed(path.read_text())
    sections = [a["id"] for tag, a in page.tags if tag == "section"]
    assert sections == [
        "ablation",
        "robustness",
        "cost",
        "mine",
        "references",
        "failures",
        "made",
    ]
    figures = {p.stem for p in (tmp_path / "figures").glob("*.svg")}
    assert {"ablations", "robustness_agents", "robustness_message-loss", "cost"} <= figures
    line = next(c for c in page.cells if c[:3] == ["NS", "NetWorld", "Solver steps 5"])
    assert line[4:] == ["19.0", "3.00", "128", "312,345", "60"]
    assert [h for h in page.heads if h.endswith("%")] == ["0%", "30%", "60%", "90%"]
    assert "Ablation" in page.heads
    levels = [c for c in page.cells if c[:3] == ["NS", "genie", "genie"]]
    assert [c[3] for c in levels] == ["\N{EN DASH}", "Agents 7", "Agents 19", "Agents 91"]


# The command


def test_report_command_says_what_is_missing(tmp_path, capsys):
    write_rows(tmp_path / "demo" / "a.jsonl", [make_row(suite="demo")])
    record_command(tmp_path / "demo", ["bench", "run", "demo", "--results", "my results"])
    record_command(tmp_path / "demo", ["bench", "run", "demo", "--results", "my results"])
    assert command.main(["report", str(tmp_path / "demo")]) == 0
    assert "No normalised score for cbf" in " ".join(capsys.readouterr().out.split())
    text = (tmp_path / "demo" / "report" / "report.html").read_text()
    assert text.count("networld bench run demo --results &#39;my results&#39;") == 1


def test_commands_are_derived_where_none_is_recorded(tmp_path):
    write_rows(tmp_path / "demo" / "a.jsonl", [make_row(suite="demo")])
    commands = read_suite(tmp_path / "demo").commands
    assert commands[0].startswith("# not recorded")
    assert commands[1] == f"networld bench run demo --results {tmp_path}"
    assert read_suite(tmp_path / "demo" / "a.jsonl").commands == []


def test_unsuitable_folders_are_refused_with_a_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="run a suite first"):
        read_suite(tmp_path / "none")
    with pytest.raises(ValueError, match=r"no result rows \(\*\.jsonl\).*the folder to give here"):
        read_suite(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="neither a suite's folder nor a file of rows"):
        read_suite(tmp_path / "notes.txt")
    failure = Failure(suite="cpu", run="comparison / cbf", error="OSError: full", traceback="T")
    write_failure(tmp_path / "bad" / "x.failure.json", failure)
    with pytest.raises(ValueError, match=r"all 1 runs .* OSError: full"):
        read_suite(tmp_path / "bad")
    (tmp_path / "begun" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match="finished yet"):
        read_suite(tmp_path / "begun")
    for suite in ("demo", "cpu"):
        write_rows(tmp_path / "two" / suite / "a.jsonl", [make_row(suite=suite)])
        write_rows(tmp_path / "mixed" / f"{suite}.jsonl", [make_row(suite=suite)])
    with pytest.raises(ValueError, match=r"`networld report .*/two/cpu`"):
        read_suite(tmp_path / "two")
    with pytest.raises(ValueError, match="give every suite a folder of its own"):
        read_suite(tmp_path / "mixed")
    with pytest.raises(NotADirectoryError, match=r"notes\.txt is a file"):
        write_report([make_row()], tmp_path / "notes.txt", "t")
