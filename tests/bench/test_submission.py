"""What `networld bench check` accepts and refuses, and the leaderboard that is made of it."""

import copy
import json
import re
from dataclasses import replace

import pytest

from networld_algos.bench import Entry, FewShot
from networld_algos.bench.presets import get_suite
from networld_algos.bench.submission.budgets import Budget, budgets, expected_slots
from networld_algos.bench.submission.checking import check_submission
from networld_algos.bench.submission.leaderboard import leaderboard
from networld_algos.bench.submission.metadata import MetadataError, read_metadata
from networld_algos.results.rows import Row, read_rows
from tests.helpers.catalogue import shorten
from tests.helpers.submissions import (
    HASH,
    METADATA,
    made_up_rows,
    reference_rows,
    tiny_suite,
    write_files,
)

SUITE = tiny_suite(
    eval_episodes=3,
    curve_episodes=2,
    data_episodes=8,
    fewshot=FewShot((Entry("bc"),), (1.0,), seeds=2, updates=3, pretrain_updates=2),
)
FILES = made_up_rows(SUITE, "filtered-bc")
FINAL = next(name for name in FILES if name.startswith("comparison-rb-expert-bc-s1"))
OTHER = next(name for name in FILES if name.startswith("comparison-rb-expert-bc-s0"))
FEWSHOT = next(name for name in FILES if name.startswith("fewshot"))


@pytest.fixture(autouse=True)
def catalogue(tmp_path, monkeypatch):
    """The datasets of the catalogue have the hash of the made-up rows."""
    shorten(monkeypatch, tmp_path / "catalogue", 8)
    path = tmp_path / "catalogue" / "catalog.toml"
    path.write_text(path.read_text().replace('sha256 = ""', f'sha256 = "{HASH}"'))


@pytest.fixture
def committed():
    files = {**made_up_rows(SUITE, "bc"), **reference_rows(SUITE)}
    rows = [Row.from_dict(row) for rows in files.values() for row in rows]
    expert = next(row for row in rows if row.role == "expert")
    genie = {"algorithm": "genie", "label": "genie", "role": "genie", "episode_returns": (1.1,) * 3}
    return [*rows, replace(expert, **genie)]


def faults_of(tmp_path, committed, change=lambda files: None, metadata=METADATA):
    files = copy.deepcopy(FILES)
    change(files)
    found = check_submission(
        write_files(tmp_path / "mine", files, metadata), SUITE, committed
    ).faults
    return [str(fault).removeprefix(f"{tmp_path / 'mine'}") for fault in found]


def test_a_complete_submission_is_accepted_with_or_without_further_parts(tmp_path, committed):
    assert faults_of(tmp_path, committed) == []
    assert {name.split("-")[0] for name in FILES} == {"comparison", "fewshot", "robustness", "cost"}
    only = {name: rows for name, rows in FILES.items() if name.startswith("comparison")}
    folder = write_files(tmp_path / "only", only, METADATA)
    assert not check_submission(folder, SUITE, committed).faults
    assert not check_submission(folder, SUITE).faults


@pytest.mark.parametrize("name", ["smoke", "cpu"])
def test_a_complete_submission_of_a_built_in_suite_is_accepted(name, tmp_path):
    suite = get_suite(name)
    files = made_up_rows(suite, "mine")
    assert not check_submission(write_files(tmp_path / "mine", files, METADATA), suite).faults
    pretrained = next(n for n in files if n.startswith("fewshot-rb-expert-bc-s0"))
    hashes = files[pretrained][-1]["data_hashes"]
    hashes |= dict.fromkeys(("networld/cbf/expert-v0", "networld/rb/mixed-v0"), HASH)
    (tmp_path / "other").mkdir()
    found = check_submission(write_files(tmp_path / "other", files, METADATA), suite).faults
    assert [fault.text for fault in found] == [
        "trained on networld/rb/mixed-v0 as well; in fewshot, 'mine' may be trained on "
        "networld/rb/expert-v0 and networld/cbf/expert-v0, networld/ns/expert-v0"
    ]
    gone = next(n for n, rows in files.items() if rows[0]["label"] == "mine (from scratch)")
    (tmp_path / "mine" / gone).unlink()
    (fault,) = check_submission(tmp_path / "mine", suite).faults
    assert fault.text.startswith("deployments, mine (from scratch), networld/")
    assert ": no final score on test networks of seed 0" in fault.text


def last(files):
    return files[FINAL][-1]


SPOILED = {
    "version": (lambda f: last(f).update(version="9.0"), "line 3: version '9.0', not"),
    "commit": (lambda f: last(f).update(git_commit="ab-dirty"), "line 3: commit 'ab-dirty'"),
    "data": (
        lambda f: last(f).update(data_hashes={"networld/rb/expert-v0": "b" * 64}),
        "line 3: trained on dataset 'networld/rb/expert-v0' of content bbbbbbbbbbbbbbbb, which is "
        "not the catalogue's, aaaaaaaaaaaaaaaa",
    ),
    "more data": (
        lambda f: last(f)["data_hashes"].update({"me/private-v0": "c" * 64}),
        "trained on me/private-v0 as well; in comparison, 'filtered-bc' may be trained on "
        "networld/rb/expert-v0 and nothing else",
    ),
    "time": (
        lambda f: last(f).update(train_seconds=-5.0),
        "line 3: not a row: train_seconds must not be negative, got -5",
    ),
    "no data": (lambda f: last(f).update(data_hashes={}), "'networld/rb/expert-v0' is not record"),
    "networks": (
        lambda f: last(f).update(episode_returns=[1.0]),
        "line 3: scored on 1 test network, not 3",
    ),
    "nan": (
        lambda f: last(f)["episode_returns"].append(float("nan")),
        "line 3: not a row: episode_returns must be finite, got nan",
    ),
    "validation": (
        lambda f: last(f).update(episode_returns=[*f[FINAL][-2]["episode_returns"], 0.0]),
        "line 3: its scores on test networks are those on validation networks in line 2",
    ),
    "early test": (
        lambda f: f[FINAL][0].update(eval_seed_set="test", episode_returns=[1.0, 2.0, 3.0]),
        "line 1: scored on test networks during training",
    ),
    "no test": (
        lambda f: f[FINAL].pop(),
        ": comparison, networld/rb/expert-v0: no final score on test networks of seed 1",
    ),
    "twice": (
        lambda f: f[FINAL].append(last(f)),
        "line 4: the same evaluation as line 3 of comparison-",
    ),
    "again": (
        lambda f: f.update({f"z{FINAL}": f[FINAL]}),
        "line 1: the same evaluation as line 1 of comparison-",
    ),
    "seed": (lambda f: last(f).update(seed=7), "line 3: seed 7; the seeds of comparison are 0, 1"),
    "dataset": (
        lambda f: last(f).update(dataset="networld/rb/mixed-v0"),
        "line 3: data 'networld/rb/mixed-v0' of task 'rb' in comparison; it has networld/rb/exp",
    ),
    "suite": (lambda f: last(f).update(suite="other"), "line 3: suite 'other', not 'tiny'"),
    "label": (lambda f: last(f).update(label="best"), "line 3: label 'best'; it must be 'filt"),
    "experiment": (
        lambda f: last(f).update(experiment="ablation"),
        "line 3: experiment 'ablation': an algorithm of your own can be in comparison, cost",
    ),
    "updates": (
        lambda f: [
            row.update(updates=900 + row["updates"], train_seconds=1200.0) for row in f[FINAL]
        ],
        "line 3: 906 updates, 2 epochs and 20 minutes, more than any method of the suite; "
        "allowed are 6 updates and 2 epochs, or 1.5 minutes on a CPU",
    ),
    "epochs": (
        lambda f: last(f).update(epochs=20.0, device="cuda, some GPU"),
        "6 updates, 20 epochs and 1 minutes, more than any method",
    ),
    "few-shot updates": (
        lambda f: [row.update(updates=900, train_seconds=1200.0) for row in f[FEWSHOT]],
        "900 updates, 2 epochs and 20 minutes, more than any method of the suite; allowed are 3 "
        "updates, or 1.5 minutes on a CPU",
    ),
    "robustness updates": (
        lambda f: next(v for n, v in f.items() if n[:3] == "rob")[0].update(
            updates=900, epochs=9.0, train_seconds=1200.0
        ),
        "900 updates, 9 epochs and 20 minutes, more than any method of the suite; allowed are 6 ",
    ),
    "unequal": (
        lambda f: [row.update(updates=row["updates"] - 1) for row in f[FINAL]],
        "line 3: updates 5, and 6 in line 3 of comparison-",
    ),
    "settings": (
        lambda f: last(f).update(config_hash="0000"),
        "line 3: config_hash '0000', and '1f2e3d4c' in line 3 of comparison-",
    ),
    "data of another task": (
        lambda f: f[FEWSHOT][-1]["data_hashes"].update({"networld/rb/mixed-v0": "c" * 64}),
        "trained on networld/rb/mixed-v0 as well; in fewshot, 'filtered-bc' may be "
        "trained on networld/rb/expert-v0 and nothing else",
    ),
    "episodes": (
        lambda f: last(f).update(episodes=8),
        "line 3: 8 training episodes; the suite takes 7",
    ),
    "few-shot settings": (
        lambda f: [row.update(config_hash="0000") for row in f[FEWSHOT]],
        "config_hash '1f2e3d4c', and '0000' in line 1 of fewshot-",
    ),
    "copied seed": (
        lambda f: last(f).update(episode_returns=f[OTHER][-1]["episode_returns"]),
        f"line 3: the returns and the training time of seed 0 in line 3 of {OTHER}",
    ),
    "few-shot, not the same updates": (
        lambda f: [row.update(updates=row["updates"] - 1) for row in f[FEWSHOT]],
        "updates 3, and 2 in line 1 of fewshot-",
    ),
    "scaled returns": (
        lambda f: last(f).update(episode_returns=[0.5, 0.6, 0.7]),
        "line 3: score 11.00, but that of its returns is 60.00",
    ),
    "no score": (
        lambda f: last(f).update(score=None),
        "line 3: score is not recorded; that of its returns is 11.00",
    ),
    "genie": (
        lambda f: last(f).update(episode_returns=[1.0, 1.3, 1.36], score=122.0),
        "line 3: a score of 122.0 is not credible: the genie, which knows what no agent can know, "
        "has 110.0 on the same networks",
    ),
    "too fast": (
        lambda f: last(f).update(train_seconds=2.9),
        "line 3: 6 updates in 2.9 s of training, more than 20 times as many per second as the "
        "fastest committed training",
    ),
    "no epochs": (lambda f: last(f).update(epochs=None), "line 3: epochs is not recorded"),
    "few-shot": (
        lambda f: f[FEWSHOT].clear(),
        "no rows in this file",
    ),
    "level": (
        lambda f: next(v for n, v in f.items() if n[:3] == "rob")[0].update(level=0.7),
        "robustness of 'rb' has no runs with share 1.0 of the data and message_loss 0.7",
    ),
    "built in": (
        lambda f: f.update(made_up_rows(SUITE, "bc")),
        "a row of the package's 'bc': give only the rows of your algorithm",
    ),
    "reference": (
        lambda f: f.update(reference_rows(SUITE)),
        "line 1: a row of reference policy 'random'",
    ),
    "two": (
        lambda f: f.update({f"z{n}": v for n, v in made_up_rows(SUITE, "other").items()}),
        "algorithm 'other' after 'filtered-bc': a submission has one algorithm",
    ),
    "nothing": (lambda f: f.clear(), ": no rows (*.jsonl)"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_every_fault_is_named_with_its_place(name, tmp_path, committed):
    spoil, text = SPOILED[name]
    faults = faults_of(tmp_path, committed, spoil)
    assert any(text in fault for fault in faults), "\n".join(faults)


def test_a_few_minutes_may_be_used_by_more_updates(tmp_path, committed):
    def faster(files):
        for name, rows in files.items():
            if name.startswith("comparison"):
                for row in rows:
                    row.update(updates=10 * row["updates"], epochs=10 * row["epochs"])

    assert faults_of(tmp_path, committed, faster) == []


def test_few_episodes_have_a_share_of_the_minutes_and_a_largest_number_of_updates(tmp_path):
    few = replace(SUITE.fewshot, updates=9, share=0.5, updates_per_episode=2)
    suite = replace(SUITE, fewshot=few, minutes={"rb": 1.0}, data_episodes=8)
    limit = budgets(suite, expected_slots(suite), [])["fewshot", "rb", "networld/rb/expert-v0", 1.0]
    assert limit == Budget(updates=3, minutes=0.5, ceiling=14)  # of 7 episodes
    assert str(limit) == "3 updates, or 0.75 minutes on a CPU and at most 14 updates"
    (row,) = [Row.from_dict(values) for values in FILES[FEWSHOT] if values["is_last"]][-1:]
    for updates, seconds, allowed in ((3, 90.0, True), (14, 40.0, True), (15, 40.0, False),
                                      (14, 50.0, False)):  # fmt: skip
        assert limit.allows(replace(row, updates=updates, train_seconds=seconds)) is allowed


def test_data_that_differs_by_rounding_are_accepted(tmp_path, committed):
    """The store has compared them with the fingerprint when it built them."""

    def elsewhere(rounded):
        def change(files):
            for rows in files.values():
                for row in rows:
                    row["data_hashes"] = dict.fromkeys(row["data_hashes"], "b" * 64)
                    row["data_rounded"] = dict.fromkeys(row["data_hashes"], rounded)

        return change

    assert faults_of(tmp_path / "a", committed, elsewhere(HASH)) == []
    assert "not the catalogue's" in faults_of(tmp_path / "b", committed, elsewhere("c" * 64))[0]


def test_what_honest_submissions_may_have(tmp_path, committed):
    """A method without chance, a fast GPU, and data of which only the committed rows know more."""

    def constant(files):
        for name, rows in files.items():
            for row in rows:
                row.update(episode_returns=[0.4] * len(row["episode_returns"]), score=40.0)
                row["train_seconds"] += 0.001 * len(name) + row["seed"]
                if row["eval_seed_set"] == "validation":
                    row.update(episode_returns=[0.3] * 2, score=30.0)

    def fast(files):
        for rows in files.values():
            for row in rows:
                row.update(train_seconds=row["train_seconds"] / 1000, device="cuda, some GPU")

    def fewer(files):
        for rows in files.values():
            for row in rows:
                row["episodes"] = 3

    assert faults_of(tmp_path / "a", committed, constant) == []
    assert faults_of(tmp_path / "b", committed, fast) == []
    assert (
        "3 training episodes; the suite takes 7" in faults_of(tmp_path / "c", committed, fewer)[0]
    )
    few = [replace(row, episodes=row.episodes and 3) for row in committed]
    assert faults_of(tmp_path / "d", few, fewer) == []


def test_a_training_that_stops_early_has_updates_of_its_own(tmp_path):
    suite = replace(SUITE, fewshot=replace(SUITE.fewshot, patience=5))
    files = copy.deepcopy(FILES)
    for row in files[FEWSHOT]:
        row["updates"] -= 1
    assert not check_submission(write_files(tmp_path / "mine", files, METADATA), suite).faults


def test_the_best_genie_bounds_a_score_and_no_score_is_asked_of_a_bad_expert(tmp_path, committed):
    genie = next(row for row in committed if row.role == "genie")
    worse = replace(genie, label="b", algorithm="b", episode_returns=(0.5,) * 3)
    assert faults_of(tmp_path / "a", [*committed, worse]) == []
    change = SPOILED["genie"][0]
    for i, order in enumerate(([*committed, worse], [worse, *committed])):
        (fault,) = faults_of(tmp_path / str(i), order, change)
        assert "has 110.0 on the same networks" in fault
    random = next(row for row in committed if row.role == "random")
    better = replace(random, episode_returns=(2.0,) * 3)
    odd = [better if row is random else row for row in committed]
    assert faults_of(tmp_path / "odd", odd) == []


def test_all_faults_are_listed_at_once(tmp_path, committed):
    def spoil(files):
        files[FINAL][0].update(version="9.0")
        files[FINAL][-1].update(version="9.0", git_commit="x-dirty")
        for name in [name for name in files if name.startswith("fewshot")]:
            del files[name]

    faults = faults_of(tmp_path, committed, spoil, METADATA.replace("date", "day"))
    assert [fault.split(": ")[0] for fault in faults] == [
        "/submission.toml, line 3",
        "/submission.toml",
        f"/{FINAL}, lines 1, 3",
        f"/{FINAL}, line 3",
    ]
    assert "unknown key 'day'" in faults[0]


def test_lines_that_are_no_rows_are_named(tmp_path, committed):
    folder = write_files(tmp_path / "mine", FILES, METADATA)
    with (folder / FINAL).open("a") as file:
        file.write("[1]\n\n{\n" + "[" * 5000 + "\n" + json.dumps({"suite": "tiny"}) + "\n")
    (folder / "zz.jsonl").write_bytes(b"\xff")
    places = [str(f).split(": ")[:2] for f in check_submission(folder, SUITE, committed).faults]
    assert [place[0].rpartition("/")[2] for place in places] == [
        *(f"{FINAL}, line {number}" for number in (4, 6, 7, 8)),
        "zz.jsonl",
    ]


WRONG = {
    'name = ""': "line 1: name must be a text",
    "name = 3": "line 1: name must be a text, got 3",
    'name = "a\\nb"': r"line 1: name must be one line of printable characters, got 'a\\nb'",
    f'name = "{"x" * 61}"': "line 1: name has 61 characters; at most 60",
    "authors = []": "line 2: authors must be a list of 1 to 50 names",
    'authors = "A. Author"': "line 2: authors must be a list",
    "authors = [1]": "line 2: authors must be a text, got 1",
    'date = "2026-11-28"': "line 3: date must be a day without quotes",
    "date = 2026-11-28T10:00:00": "line 3: date must be a day without quotes",
    'link = "javascript:alert(1)"': "line 4: link must be an address such as https://example",
    'link = "https://example.org/a) [b](c"': "line 4: link must be an address",
    'link = "https://example.org/<b>"': "line 4: link must be an address",
    "link = ": "line 4: not TOML",
}


@pytest.mark.parametrize("line", WRONG)
def test_metadata_with_faults_are_refused_with_their_line(line, tmp_path):
    key = line.split()[0]
    (tmp_path / "submission.toml").write_text(re.sub(f"(?m)^{key} .*$", lambda _: line, METADATA))
    with pytest.raises(MetadataError) as error:
        read_metadata(tmp_path)
    assert f"submission.toml, {WRONG[line]}" in str(error.value)


def test_metadata_may_be_missing_too_large_or_unreadable(tmp_path):
    with pytest.raises(MetadataError, match="missing; it needs name, authors, date, link"):
        read_metadata(tmp_path)
    (tmp_path / "submission.toml").write_text("#" * 30_000)
    with pytest.raises(MetadataError, match="toml: it has 30000 bytes"):
        read_metadata(tmp_path)
    (tmp_path / "submission.toml").write_text("name = " + "[" * 15_000)
    with pytest.raises(MetadataError, match="not TOML"):
        read_metadata(tmp_path)
    (tmp_path / "submission.toml").unlink()
    (tmp_path / "submission.toml").mkdir()
    with pytest.raises(MetadataError, match="cannot be read: "):
        read_metadata(tmp_path)


@pytest.fixture
def results(tmp_path):
    files = {**made_up_rows(SUITE, "bc", 0.4), **reference_rows(SUITE)}
    return write_files(tmp_path / "tiny", files)


def test_the_leaderboard_has_committed_methods_and_submissions(tmp_path, results):
    assert "no submission yet" in leaderboard(SUITE, results, tmp_path / "none")
    odd = METADATA.replace("Filtered cloning", "A|B <b>*x*</b> [y](z) `q`")
    write_files(tmp_path / "in" / "a", made_up_rows(SUITE, "filtered-bc", 0.6), odd)
    write_files(tmp_path / "in" / "b", made_up_rows(SUITE, "filtered-bc", 0.2), METADATA)
    page = leaderboard(SUITE, results, tmp_path / "in")
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table[2:]]
    assert [row[0] for row in cells] == [
        r"A\|B &lt;b>\*x\*&lt;/b> [y\](z) \`q\`",
        "bc",
        "Filtered cloning",
    ]
    assert [row[1].split()[0] for row in cells] == ["70.5", "50.5", "30.5"]
    assert cells[0][2:] == [
        *("2", "6", "2", "1", "A. Author and others", "2026-11-28"),
        "[link](https://example.org/filtered)",
    ]
    assert cells[1][6:] == ["this package", "", ""]
    assert "same\n  3 test networks" in page
    assert "‡" in page  # two seeds
    assert "<!--" in page
    assert page == leaderboard(SUITE, results, tmp_path / "in")


def test_a_submission_with_faults_is_named_and_not_ranked(tmp_path, results):
    files = copy.deepcopy(FILES)
    for row in files[FINAL]:
        row["version"] = "0.0.1"
    write_files(tmp_path / "in" / "old", files, METADATA)
    page = leaderboard(SUITE, results, tmp_path / "in")
    assert "Filtered cloning" not in page
    assert re.search(r"## Not ranked\n.*\n\n\* old: 1 fault, the first: comp.*0\.0\.1", page, re.S)


def test_another_suite_is_refused(tmp_path, results):
    with pytest.raises(ValueError, match="rows of suite 'tiny', not 'smoke'"):
        leaderboard(get_suite("smoke"), results, tmp_path)


def test_intervals_of_a_method_do_not_depend_on_the_others(tmp_path, results):
    alone = leaderboard(SUITE, results, tmp_path / "in")
    write_files(tmp_path / "in" / "a", FILES, METADATA)
    both = leaderboard(SUITE, results, tmp_path / "in")
    (line,) = [line for line in alone.splitlines() if line.startswith("| bc")]
    assert line in both
    assert len(read_rows(results)) > 0
