"""One search for all algorithms: ranges, validation networks, trials that go on, choices."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import numpy as np
import pytest

from networld_algos import ALGORITHMS, make_config
from networld_algos.base import Range
from networld_algos.bc import BC
from networld_algos.bench.parts import Entry
from networld_algos.bench.preset_entries import comparison
from networld_algos.bench.presets import get_suite
from networld_algos.bench.suite import Suite
from networld_algos.bench.tuned import main_entry, suite_subjects, with_choices
from networld_algos.bench.unroll import unroll
from networld_algos.cli.command import main
from networld_algos.cli.train import parse
from networld_algos.files import DamagedFileError
from networld_algos.registry import BUILT_IN
from networld_algos.training.tuning import search as searching
from networld_algos.training.tuning import study as studies
from networld_algos.training.tuning import trial as one_trial
from networld_algos.training.tuning.choices import read_choices, settings_on, write_choices
from networld_algos.training.tuning.search import CHOICES, search
from networld_algos.training.tuning.study import RUNNING, TRIALS
from networld_algos.training.tuning.subject import Options, Subject, search_space
from networld_envs.policies.references import TEST_SEED
from networld_envs.store.recipes import CATALOG
from tests.helpers.catalogue import build_short

RB = "networld/rb/expert-v0"
SUBJECT = Subject("bc", "rb", RB, {"hidden": 16, "batch_size": 8}, ("batch_size", "layers"))
QUICK = Options(trials=3, updates=4, networks=2, evaluations=2, pruner="none", finalists=0)


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        build_short(patch, tmp_path_factory.mktemp("data"), 4, RB)
        yield


def trials_of(out, subject=SUBJECT):
    return json.loads((out / TRIALS / f"{subject.stem}.json").read_text())["trials"]


def ends(values):
    return values if isinstance(values, tuple) else (values.low, values.high)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_algorithm_declares_ranges_that_its_config_accepts(name):
    space = search_space(name)
    default = make_config(name)
    assert Subject(name, "rb", RB).first.keys() == space.keys(), "a default is out of its range"
    for field, values in space.items():
        for value in ends(values):
            assert getattr(make_config(name, {field: value}), field) == value
            make_config(name, {**Subject(name, "rb", RB).first, field: value})
        assert type(getattr(default, field)) in {type(v) for v in ends(values)}
    assert 3 <= len(space) <= 11  # a dozen trials cannot search more


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "bc has nothing to search: give BC an attribute such as"),
        ({"rate": Range(0.1, 0.2)}, r"BC.search names \['rate'\], which BCConfig has no fields"),
        ({"layers": [1, 2]}, r"BC.search\['layers'\] must be a Range, or a tuple"),
        ({"layers": (2,)}, "at least two different"),
        ({"layers": (2, None)}, "has None, which is not the default"),
    ],
)
def test_wrong_ranges_are_named(monkeypatch, given, message):
    monkeypatch.setattr(BC, "search", given)
    with pytest.raises(ValueError, match=message):
        search_space("bc")


def test_a_range_is_not_empty_and_a_logarithmic_one_is_positive():
    assert Range(1, 3).is_whole
    assert not Range(1, 3.0).is_whole
    with pytest.raises(ValueError, match="low must be below high, got 2 and 2"):
        Range(2, 2)
    with pytest.raises(ValueError, match="must start above 0, got 0"):
        Range(0.0, 1.0, log=True)


@pytest.mark.parametrize("networks", [2, 32, 50_000])
def test_validation_networks_are_those_of_no_test_and_no_dataset(networks):
    options = Options(networks=networks, final_networks=networks)
    seeds, finals = options.validation_seeds, options.final_seeds
    most = max(get_suite(name).eval_episodes for name in ("smoke", "demo", "cpu", "paper"))
    assert seeds[0] >= 500_000 > TEST_SEED + 1_000 * most
    first = min(int(line.split("=")[1].replace("_", "")) for line in _seed_lines())
    assert seeds[-1] < finals[0] <= finals[-1] < first
    with pytest.raises(ValueError, match="networks"):
        Options(networks=50_001)


def _seed_lines():
    return [line for line in CATALOG.read_text().splitlines() if line.startswith("seed")]


def test_a_search_chooses_the_best_trial_and_goes_on(tmp_path, monkeypatch):
    seen, done = [], []
    scored, performed = one_trial.evaluate, searching.perform

    def evaluate(model, task, seeds, **options):
        seen.extend(seeds)
        return scored(model, task, seeds, **options)

    def perform(job):
        done.append(job.params)
        return performed(job)

    ends = studies.score_ends
    monkeypatch.setattr(one_trial, "evaluate", evaluate)
    monkeypatch.setattr(searching, "perform", perform)
    monkeypatch.setattr(
        studies,
        "score_ends",
        lambda task, seeds, **p: seen.extend(seeds) or ends(task, seeds, **p),
    )
    (found,) = search([SUBJECT], QUICK, tmp_path)
    assert set(seen) == {500_000, 500_001}
    trials = trials_of(tmp_path)
    assert [t["state"] for t in trials] == ["complete"] * 3
    assert (
        done[0]
        == trials[0]["params"]
        == SUBJECT.first
        == {
            "learning_rate": make_config("bc").learning_rate,
            "episode_beta": 0.0,
            "decode": "expectation",
        }
    )
    assert found.score == max(t["score"] for t in trials)
    assert found.first == trials[0]["score"]
    assert found.params == max(trials, key=lambda t: t["score"])["params"]
    assert read_choices(tmp_path / CHOICES) == {"bc": {"rb/expert": found.params}}
    assert not list((tmp_path / RUNNING).iterdir())
    # More trials: those that are done are not repeated. As many: nothing is left to do.
    (more,) = search([SUBJECT], replace(QUICK, trials=4), tmp_path)
    assert len(done) == 4
    assert trials_of(tmp_path)[:3] == trials
    assert more.score >= found.score
    assert search([SUBJECT], QUICK, tmp_path) == [more]
    assert len(done) == 4
    with pytest.raises(ValueError, match=r"with updates=4, not 5; choose another --out"):
        search([SUBJECT], replace(QUICK, updates=5), tmp_path)


def test_an_interrupted_search_ends_as_one_that_was_not(tmp_path, monkeypatch):
    (whole,) = search([SUBJECT], QUICK, tmp_path / "whole")
    real, calls = one_trial._score, []

    def score(job, model):
        calls.append(job.number)
        if len(calls) in (1, 4):  # Ctrl-C while the first and the second trial are evaluated
            signal.raise_signal(signal.SIGINT)
        return real(job, model)

    monkeypatch.setattr(one_trial, "_score", score)
    out = tmp_path / "parts"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            search([SUBJECT], QUICK, out)
    (found,) = search([SUBJECT], QUICK, out)
    assert len(calls) == 6  # nothing was evaluated twice
    assert [t["params"] for t in trials_of(out)][:2] == [
        t["params"] for t in trials_of(tmp_path / "whole")
    ][:2]
    assert [t["score"] for t in trials_of(out)][:2] == [
        t["score"] for t in trials_of(tmp_path / "whole")
    ][:2]
    assert found.trials == 3
    assert found.first == whole.first


def test_a_trial_of_a_killed_process_is_done_again(tmp_path, monkeypatch):
    monkeypatch.setattr(searching, "perform", lambda job: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        search([SUBJECT], QUICK, tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(
        searching,
        "perform",
        lambda job: one_trial.Result("complete", job.params["learning_rate"]),
    )
    (found,) = search([SUBJECT], QUICK, tmp_path)
    assert found.trials == 3
    assert found.first == SUBJECT.first["learning_rate"]


def test_a_new_search_does_not_resume_trials_of_an_old_one(tmp_path):
    """Its first trial would otherwise get the score of other settings."""
    left = tmp_path / RUNNING / f"{SUBJECT.stem}-0"
    other = tmp_path / RUNNING / f"{SUBJECT.stem}-more-0"
    for folder in (left, other):
        folder.mkdir(parents=True)
        (folder / "checkpoint.json").write_text("of an older search")
    (found,) = search([SUBJECT], replace(QUICK, trials=1), tmp_path)
    assert found.trials == 1
    assert not left.exists()
    assert other.exists()


def test_subjects_never_share_files():
    ids = ["site/a-b-v0", "site/a_b-v0", "site/a/b-v0", "日本/東京-v0", "日本/大阪-v0", RB]
    subjects = [replace(SUBJECT, dataset=i) for i in ids]
    subjects += [replace(s, algorithm=name) for s in subjects for name in ("my-own", "my_own")]
    assert len({subject.stem for subject in subjects}) == len(subjects)
    assert SUBJECT.stem == "bc-rb-expert"


def test_trials_that_fail_or_end_early_are_recorded_and_the_search_goes_on(tmp_path, monkeypatch):
    def train(job):
        if job.number == 0:
            raise FloatingPointError("cloning_loss is nan at update 3")
        return one_trial.Result("complete" if job.number == 1 else "pruned", 50.0 + job.number)

    monkeypatch.setattr(one_trial, "_train", train)
    (found,) = search([SUBJECT], QUICK, tmp_path)
    assert (found.score, found.first) == (51.0, None)
    trials = trials_of(tmp_path)
    assert [t["state"] for t in trials] == ["fail", "complete", "pruned"]
    assert trials[0]["error"] == "FloatingPointError: cloning_loss is nan at update 3"
    monkeypatch.setattr(one_trial, "_train", lambda job: 1 / 0)
    with pytest.raises(
        ValueError, match="no trial of bc on rb/expert ended well; the first one: Z"
    ):
        search([SUBJECT], QUICK, tmp_path / "other")


def test_a_bad_trial_is_pruned(tmp_path, monkeypatch):
    monkeypatch.setattr(one_trial, "_score", lambda job, model: -float(job.number))
    options = replace(QUICK, trials=6, updates=2, pruner="median")
    search([SUBJECT], options, tmp_path)
    assert [t["state"] for t in trials_of(tmp_path)] == ["complete"] * 4 + ["pruned"] * 2
    assert [len(t["scores"]) for t in trials_of(tmp_path)] == [2] * 4 + [1] * 2


def test_minutes_become_updates_by_the_time_of_the_first_ones(monkeypatch):
    now = iter(np.arange(0.0, 1e4, 0.5))
    monkeypatch.setattr(one_trial, "training_clock", lambda device: lambda: next(now))

    def train(model, data, most, seed, should_stop):
        return next(n for n in range(1, most) if should_stop())

    monkeypatch.setattr(one_trial, "train", train)
    options = Options(evaluations=4)
    assert one_trial._updates_in(60.0, lambda n: None, None, options) == 120
    assert one_trial._updates_in(1.0, lambda n: None, None, options) == 4


def test_all_subjects_get_as_many_trials_and_take_turns(tmp_path, monkeypatch):
    order = []

    def train(job):
        order.append((job.subject.algorithm, job.options.minutes))
        return one_trial.Result("complete", 1.0)

    monkeypatch.setattr(one_trial, "_train", train)
    subjects = suite_subjects(
        Suite(name="two", tasks=("rb",), entries=(Entry("bc"), Entry("ma-iql")), seeds=1, updates=1)
    )
    found = search(subjects, Options(trials=2, networks=2, finalists=0), tmp_path)
    assert order == [("bc", 5.0), ("ma-iql", 5.0)] * 2
    assert {c.trials for c in found} == {2}
    assert read_choices(tmp_path / CHOICES).keys() == {"bc", "ma-iql"}


def test_the_last_trial_has_what_suited_other_data(tmp_path, monkeypatch):
    """The fifth trial on expert data is the best; mixed data tries the same settings at last."""
    suite = Suite(
        name="two",
        tasks=("rb",),
        entries=(Entry("bc"), Entry("ma-iql")),
        seeds=1,
        updates=1,
        qualities=("expert", "mixed"),
    )
    params: dict = {}

    def train(job):
        mine = params.setdefault(job.subject.name, [])
        mine.append(job.params)
        if job.subject.data == "rb/mixed":
            return one_trial.Result("complete", 10.0 + len(mine))
        return one_trial.Result("complete", 90.0 if len(mine) == 5 else 50.0 - len(mine))

    monkeypatch.setattr(one_trial, "_train", train)
    search(suite_subjects(suite), Options(trials=6, networks=2, finalists=0), tmp_path)
    assert {len(tried) for tried in params.values()} == {6}
    for name in ("bc", "ma-iql"):
        of_expert, of_mixed = (v for k, v in params.items() if name in k)
        assert of_mixed[-1] == of_expert[4] != of_mixed[4]
    last = trials_of(tmp_path)[-1]
    assert last["from"] in ("rb/expert", "rb/mixed")


def test_settings_can_be_suggested_over_the_best_so_far(tmp_path, monkeypatch):
    params = []

    def train(job):
        params.append(job.params)
        return one_trial.Result("complete", 90.0 if len(params) == 2 else 50.0)

    monkeypatch.setattr(one_trial, "_train", train)
    search([SUBJECT], replace(QUICK, trials=3), tmp_path)
    rate = {SUBJECT.algorithm: {"rb": {"learning_rate": 0.00123}}}
    search([SUBJECT], replace(QUICK, trials=4), tmp_path, also=[rate, {"other": {}}])
    assert params[3] == {**params[1], "learning_rate": 0.00123}
    assert trials_of(tmp_path)[-1]["suggested"] is True
    search([SUBJECT], replace(QUICK, trials=4), tmp_path, also=[rate])  # it was tried
    assert len(params) == 4
    slow = {SUBJECT.algorithm: {"rb": {"learning_rate": 0.00045}}}
    for _ in range(2):  # a search that was stopped before this trial, and goes on
        search([SUBJECT], replace(QUICK, trials=4), tmp_path, also=[slow])
    search([SUBJECT], replace(QUICK, trials=6), tmp_path)
    assert [p["learning_rate"] for p in params[4:]].count(0.00045) == 1
    for wrong in ({"learning_rate": 7.0}, {"hidden": 64}):
        with pytest.raises(ValueError, match=rf"cannot try {wrong}; it searches {{'learning_rate'"):
            search([SUBJECT], QUICK, tmp_path, also=[{SUBJECT.algorithm: {"rb": wrong}}])


def test_a_search_goes_on_with_wider_ranges_and_more_fields(tmp_path, monkeypatch):
    monkeypatch.setattr(one_trial, "_train", lambda job: one_trial.Result("complete", 50.0))
    narrow = {"learning_rate": Range(1e-3, 2e-3, log=True), "episode_beta": (0.0, 1.0)}
    wide = {**narrow, "learning_rate": Range(1e-4, 5e-3, log=True), "bins": Range(11, 51)}
    monkeypatch.setattr(BC, "search", narrow)
    search([SUBJECT], QUICK, tmp_path)
    monkeypatch.setattr(BC, "search", wide)
    (found,) = search([SUBJECT], replace(QUICK, trials=5), tmp_path)
    assert found.trials == 5
    assert {"bins" in t["params"] for t in trials_of(tmp_path)} == {False, True}
    for other in (narrow, {**wide, "episode_beta": (0.0, 2.0)}):
        monkeypatch.setattr(BC, "search", other)
        with pytest.raises(ValueError, match=r"holds trials of .* with search="):
            search([SUBJECT], QUICK, tmp_path)
    wider = {**wide, "bins": Range(5, 101)}
    monkeypatch.setattr(BC, "search", wider)
    with pytest.raises(ValueError, match=r"holds trials of .* with seed="):
        search([SUBJECT], replace(QUICK, seed=1), tmp_path)
    monkeypatch.setattr(BC, "search", wide)  # what was refused has changed nothing
    search([SUBJECT], replace(QUICK, trials=5), tmp_path)


def test_a_choice_that_luck_may_explain_is_not_taken(tmp_path, monkeypatch):
    scores = iter([90.0, 90.9, 80.0])
    monkeypatch.setattr(one_trial, "_train", lambda job: one_trial.Result("complete", next(scores)))
    (found,) = search([SUBJECT], replace(QUICK, trials=3), tmp_path)
    assert (found.score, found.first) == (90.0, 90.0)
    (found,) = search([SUBJECT], replace(QUICK, trials=3, margin=0.5), tmp_path)
    assert (found.score, found.first) == (90.9, 90.0)


def test_finals_on_other_networks_decide(tmp_path, monkeypatch):
    """Trial 1 was lucky; of those behind it, trial 2 is the best. Trial 3 is in no final."""
    scores = {False: [50.0, 90.0, 80.0, 20.0], True: [60.0, 40.0, 75.0]}
    jobs = []

    def train(job):
        jobs.append(job)
        if job.number == 2 and len(job.networks) == 4:
            raise FloatingPointError("cloning_loss is nan")
        return one_trial.Result("complete", scores[job.is_final][job.number])

    monkeypatch.setattr(one_trial, "_train", train)
    options = replace(QUICK, trials=4, finalists=2, final_networks=3)
    started = []
    (found,) = search([SUBJECT], options, tmp_path, on_start=lambda *counts: started.append(counts))
    assert started == [(0, 4), (4, 7)]
    assert (found.score, found.first) == (75.0, 60.0)
    record = json.loads((tmp_path / TRIALS / f"{SUBJECT.stem}.json").read_text())
    assert found.params == record["trials"][2]["params"] == record["choice"]["params"]
    assert {n: final["score"] for n, final in record["finals"].items()} == {
        "0": 60.0,
        "1": 40.0,
        "2": 75.0,
    }
    trial, final = jobs[0], jobs[-1]
    assert trial.training_seed != final.training_seed
    assert not {*trial.networks} & {*final.networks}
    assert len(final.networks) == 3
    assert search([SUBJECT], options, tmp_path) == [found]
    assert len(jobs) == 7
    (trials_alone,) = search([SUBJECT], replace(options, finalists=0), tmp_path)
    assert (trials_alone.score, trials_alone.first) == (90.0, 50.0)
    # On more networks, the same finals are done again; one that fails is out.
    (again,) = search([SUBJECT], replace(options, final_networks=4), tmp_path)
    assert (again.score, again.first) == (60.0, 60.0)
    record = json.loads((tmp_path / TRIALS / f"{SUBJECT.stem}.json").read_text())
    assert record["finals"]["2"]["error"] == "FloatingPointError: cloning_loss is nan"


def test_an_interrupted_final_goes_on(tmp_path, monkeypatch):
    options = replace(QUICK, trials=2, finalists=1, final_networks=2)
    real, seen = one_trial._score, []

    def score(job, model):
        seen.append((job.is_final, job.number))
        if len(seen) == 5:
            signal.raise_signal(signal.SIGINT)
        return real(job, model)

    monkeypatch.setattr(one_trial, "_score", score)
    with pytest.raises(KeyboardInterrupt):
        search([SUBJECT], options, tmp_path)
    search([SUBJECT], options, tmp_path)
    assert len(seen) == len({*seen}) + 2  # two evaluations of each trial, one of each final
    assert not list((tmp_path / RUNNING).iterdir())


def test_a_search_goes_on_from_its_committed_files(tmp_path, monkeypatch):
    numbers = []

    def train(job):
        numbers.append(job.number)
        return one_trial.Result("complete", 50.0 + 10 * job.number)

    monkeypatch.setattr(one_trial, "_train", train)
    options = replace(QUICK, finalists=1)
    found = search([SUBJECT], options, tmp_path)
    path = tmp_path / TRIALS / f"{SUBJECT.stem}.json"
    text = path.read_text()
    (tmp_path / studies.DATABASE).unlink()
    # The choice is a suite's setting meanwhile, and a wider list is searched.
    now = replace(SUBJECT, base={**SUBJECT.base, "learning_rate": 0.0031})
    monkeypatch.setattr(BC, "search", {**BC.search, "decode": ("argmax", "expectation", "sample")})
    assert [c.params for c in search([now], options, tmp_path)] == [c.params for c in found]
    assert path.read_text() == text
    assert numbers == [0, 1, 2, 2, 0]
    (more,) = search([now], replace(options, trials=4), tmp_path)
    assert (more.trials, numbers[5:]) == (4, [3, 3])
    (tmp_path / studies.DATABASE).unlink()
    with pytest.raises(ValueError, match=r"holds trials of .* with updates=4, not 5"):
        search([now], replace(options, updates=5), tmp_path)
    (tmp_path / studies.DATABASE).unlink()
    monkeypatch.setattr(BC, "search", {**BC.search, "learning_rate": Range(1e-6, 2e-6)})
    with pytest.raises(DamagedFileError, match=r"json is damaged .*choose another --out"):
        search([now], options, tmp_path)
    path.write_text("{}")
    with pytest.raises(DamagedFileError, match="json is damaged"):
        search([SUBJECT], options, tmp_path)


@pytest.mark.slow
def test_parallel_trials(tmp_path):
    (found,) = search([SUBJECT], replace(QUICK, trials=4), tmp_path, jobs=2)
    assert found.trials == 4
    assert [t["state"] for t in trials_of(tmp_path)] == ["complete"] * 4


def test_choices_are_written_and_read(tmp_path):
    choices = {
        "bc": {"rb/expert": {"learning_rate": 1e-05, "layers": 3, "decode": "argmax"}},
        "ma-dd": {"mine/site-v0": {"mults": (1, 2)}, "cbf": {"mean_field": False}},
    }
    path = write_choices(tmp_path / CHOICES, choices)
    assert '[bc."rb/expert"]' in path.read_text()
    assert read_choices(path) == json.loads(json.dumps(choices))
    assert settings_on(choices, "bc", "rb", RB) == choices["bc"]["rb/expert"]
    assert settings_on(choices, "bc", "rb", "expert") == choices["bc"]["rb/expert"]
    assert settings_on(choices, "bc", "rb", "networld/rb/mixed-v0") == {}
    assert settings_on(choices, "ma-dd", "cbf", "mine/site-v0") == {
        "mults": (1, 2),
        "mean_field": False,
    }
    with pytest.raises(ValueError, match="x = None cannot be written"):
        write_choices(path, {"bc": {"rb": {"x": None}}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[bc", "is damaged"),
        ("[bc]\nlayers = 3", r"has bc.layers = 3; settings stand in a table"),
        ("[bc.rb]\nlayer = 3", r"\[bc.\"rb\"\]: unknown config keys \['layer'\]"),
        (
            "[bc.rb]\nupdates_per_minute = 0",
            r"\[bc.\"rb\"\]: updates_per_minute must be a positive",
        ),
        ("[bc.rb]\nlayers = 0", r"\[bc.\"rb\"\]: BCConfig.layers must be an int"),
    ],
)
def test_files_of_settings_that_are_wrong_are_refused(tmp_path, text, message):
    path = tmp_path / CHOICES
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_choices(path)


def test_a_training_takes_its_settings_from_a_file(tmp_path):
    path = write_choices(tmp_path / CHOICES, {"bc": {"rb/expert": {"layers": 4, "hidden": 32}}})
    args = ["bc", "--task", "rb", "--settings", str(path), "--out", "x"]
    assert parse(args).config == make_config("bc", {"layers": 4, "hidden": 32})
    own = parse([*args, "--config.layers", "2"])
    assert (own.config.layers, own.config.hidden, own.settings) == (2, 32, path)
    with pytest.raises(ValueError, match="no settings for bc on networld/cbf/expert-v0; it has: b"):
        parse([a if a != "rb" else "cbf" for a in args])
    with pytest.raises(ValueError, match="there is no file of settings nosuch"):
        parse([a if a != str(path) else "nosuch" for a in args])


def test_a_suite_is_searched_as_its_main_entries_are_and_takes_the_choice():
    suite = get_suite("cpu")
    suite = replace(suite, entries=comparison(dict.fromkeys(BUILT_IN, 100)))
    subjects = suite_subjects(suite, ("rb",), ("mixed",))
    assert {s.algorithm for s in subjects} == {e.algorithm for e in suite.entries}
    assert {s.dataset for s in subjects} == {"networld/rb/mixed-v0"}
    iql = next(s for s in subjects if s.algorithm == "ma-iql")
    assert iql.base == main_entry(suite.entries, "ma-iql").values_on("rb", "mixed")
    assert "decode" in ALGORITHMS["ma-iql"][1].search
    assert "decode" in iql.space
    both = Entry("ma-iql", decisions={"a": {"decode": "argmax"}, "b": {"decode": "sample"}})
    compared = suite_subjects(replace(suite, entries=(both,), robustness=None, cost=None))[0]
    assert "decode" not in compared.space  # such a suite compares ways to decode
    assert len(suite_subjects(suite)) == 6 * 9
    chosen = {"learning_rate": 0.004, "return_of": "agent"}
    assert chosen.items() - iql.base.items()
    tuned = with_choices(suite, {"ma-iql": {"rb/mixed": chosen}})
    before = {e.label: e for e in suite.entries}
    for entry in tuned.entries:
        now, then = (e.values_on("rb", "mixed") for e in (entry, before[entry.label]))
        if entry.label == "ma-iql":
            assert now == {**then, **chosen}
        else:
            assert now == then
        assert entry.values_on("cbf", "mixed") == before[entry.label].values_on("cbf", "mixed")


def test_a_variant_without_messages_keeps_its_own_reward_and_takes_the_rest():
    suite = replace(get_suite("cpu"), entries=comparison(dict.fromkeys(BUILT_IN, 100)))
    chosen = {"learning_rate": 0.004, "return_of": "neighbourhood"}
    tuned = with_choices(suite, {"ma-iql": {"rb/expert": chosen}})
    values = {e.label: e.values_on("rb", "expert") for e in tuned.entries}
    own, same = values["ma-iql (no mean field)"], values["ma-iql"]
    assert (own["return_of"], same["return_of"]) == ("agent", "neighbourhood")
    assert own["learning_rate"] == same["learning_rate"] == 0.004


def test_a_variant_with_slower_updates_takes_its_own_rates():
    slow = Entry("bc", "bc (slow)", {"layers": 5})
    suite = Suite(
        name="s",
        tasks=("rb",),
        entries=(Entry("bc"), slow),
        seeds=1,
        updates=9,
        minutes={"rb": 2.0},
    )
    choices = {
        "bc": {"rb/expert": {"learning_rate": 0.004, "updates_per_minute": 300.0}},
        "bc (slow)": {"rb/expert": {"updates_per_minute": 100.0}},
    }
    updates = {r.label: r.updates for r in unroll(with_choices(suite, choices)) if r.updates}
    assert updates == {"bc": 600, "bc (slow)": 200}
    del choices["bc (slow)"]
    updates = {r.label: r.updates for r in unroll(with_choices(suite, choices)) if r.updates}
    assert updates == {"bc": 600, "bc (slow)": 600}


def test_a_variant_keeps_what_makes_it_one():
    entries = (Entry("bc"), Entry("bc", "bc (small)", {"layers": 1}))
    suite = Suite(name="two", tasks=("rb",), entries=entries, seeds=1, updates=1)
    tuned = with_choices(suite, {"bc": {"rb/expert": {"layers": 4, "bins": 11}}})
    found = [entry.values_on("rb", "expert") for entry in tuned.entries]
    assert found == [{"layers": 4, "bins": 11}, {"layers": 1, "bins": 11}]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nosuch"], "unknown algorithm or suite 'nosuch'"),
        (["bc"], "--task is missing, e.g. networld tune bc --task rb"),
        (["bc", "--task", "xy"], "unknown task 'xy'"),
        (["bc", "--task", "rb", "--minutes", "1", "--updates", "9"], "exclude each other"),
        (["bc", "--task", "rb", "--minutes", "0"], "minutes"),
        (["bc", "--task", "rb", "--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["cpu", "--data", "mine/site-v0"], "unknown qualities ['mine/site-v0'], valid: expert"),
        (["cpu", "--task", "toy"], "suite 'cpu' has no task toy; it has cbf, rb, ns"),
    ],
)
def test_errors_of_the_command(args, message, capsys):
    assert main(["tune", *args]) == 2
    assert message in capsys.readouterr().err


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ["tune", "bc", "--task", "rb", "--trials", "2", "--updates", "4", "--networks", "2"]
    args += ["--final-networks", "2"]
    assert main(args) == 0
    printed = capsys.readouterr()
    text = " ".join(printed.out.split())
    assert "bc on rb/expert, 2 trials: " in text
    assert printed.err.count("final of bc on rb/expert: ") == 2
    assert (
        f"next: networld train bc --task rb --dataset {RB} --settings tuning/choices.toml" in text
    )
    assert parse(text.split("networld train ")[1].split()).settings is not None
