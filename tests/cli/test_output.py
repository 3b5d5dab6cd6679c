"""What the commands print: at any width nothing is cut, as JSON, and with any text of a user."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from networld_algos.bench.estimate import Pace, run_seconds
from networld_algos.bench.presets import SUITES, get_suite
from networld_algos.bench.unroll import unroll
from networld_algos.cli import command, completion, progress, terminal
from networld_algos.cli.command import main
from networld_algos.cli.tables import Column, Listing, show
from networld_algos.registry import ALGORITHMS
from networld_algos.results import text
from networld_algos.results.loggers import Log
from networld_envs import store
from networld_envs.render.canvas import INK, Canvas
from tests.report.rows import make_row

ROOT = Path(__file__).resolve().parents[2]
NASTY = ("see [/home/me/pf]", "sac[lr=3e-4]", "[bold]x[/] :smile:", "a\x1b[2Jb", "\u202eback")


def terminal_of(monkeypatch, width):
    """The commands in a terminal of this width; returns what is written to it."""
    written = io.StringIO()
    made = terminal.PlainConsole

    class Narrow(made):
        def __init__(self, **options):
            options |= {"file": written, "force_terminal": True, "no_color": True}
            super().__init__(**{"width": width, **options})

    monkeypatch.setattr(terminal, "PlainConsole", Narrow)
    monkeypatch.setattr(terminal, "console", Narrow())
    return written


def plain(written):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue())


@pytest.fixture
def summaries(monkeypatch):
    """A store with datasets whose texts are nasty, one of them damaged."""
    found = {
        f"networld/rb/a-quite-long-name-{i}-v0": store.Summary(
            f"networld/rb/a-quite-long-name-{i}-v0", 5, 250, 0.3, -1.5, "ab" * 32, policy
        )
        for i, policy in enumerate(NASTY)
    }
    found["networld/rb/bad-v0"] = store.Summary(
        "networld/rb/bad-v0", 0, 0, None, None, "", "", fault="[/] no metadata"
    )
    monkeypatch.setattr(store, "local_datasets", lambda: found)
    return found


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_list_of_datasets_cuts_no_id_and_interprets_nothing(width, summaries, monkeypatch):
    written = terminal_of(monkeypatch, width)
    assert main(["dataset", "list"]) == 0
    said = plain(written)
    for dataset_id in [*summaries, *store.catalog()]:
        assert dataset_id in said
    assert "\N{HORIZONTAL ELLIPSIS}" not in said
    assert max(map(len, said.splitlines())) <= width
    whole = " ".join(said.replace("│", " ").split())
    if width >= 200:
        for policy in NASTY:
            assert text.visible(policy) in whole
    assert "sac[lr=3e-4]" in whole
    assert "\x1b[2J" not in written.getvalue()


def test_a_list_in_a_file_has_one_line_per_dataset(summaries, capsys):
    assert main(["dataset", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for dataset_id, found in summaries.items():
        (line,) = [line for line in lines if f" {dataset_id} " in line]
        assert text.visible(found.policy) in line
        assert found.fault in line


def test_json_has_the_values_of_the_table(summaries, capsys):
    assert main(["dataset", "list", "--json"]) == 0
    rows = {row["dataset"]: row for row in json.loads(capsys.readouterr().out)["datasets"]}
    for dataset_id, found in summaries.items():
        assert rows[dataset_id]["where"] == ["damaged" if found.fault else "here"]
        assert rows[dataset_id]["fault"] == (found.fault or None)
        if not found.fault:
            assert rows[dataset_id]["made_by"] == found.policy
            assert rows[dataset_id]["mean_reward"] == found.mean_reward


def test_json_has_no_number_that_json_lacks(capsys):
    rows = [{"a": float("nan"), "b": [float("inf"), 1.5]}]
    show(Listing("rows", [Column("a"), Column("b")], rows), as_json=True, more={"x": float("nan")})
    found = json.loads(capsys.readouterr().out)
    assert found == {"more": {"x": None}, "rows": [{"a": None, "b": [None, 1.5]}]}


def test_suites_are_listed_for_people_and_for_programs(capsys):
    assert main(["bench", "list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in SUITES)
    assert " years" in said or " days" in said
    assert main(["bench", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["suites"]
    assert [row["suite"] for row in rows] == list(SUITES)
    assert all(row["seconds_on_one_core"] > 0 for row in rows)
    assert main(["bench", "run", "smoke", "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["runs"]) == len(unroll(get_suite("smoke")))
    assert found["wall_seconds"] > 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "1.5 min"),
        (3_000, "50 min"),
        (7_200, "2.0 h"),
        (100_000, "28 h"),
        (3 * 86_400, "3.0 days"),
        (59963.5 * 3600, "6.8 years"),
    ],
)
def test_times_are_given_in_a_unit_that_people_read(seconds, words):
    assert terminal.time_span(seconds) == words


@pytest.mark.parametrize(("number", "words"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs")])
def test_one_has_no_plural(number, words):
    assert text.count(number, "run") == words


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("dataste",), "did you mean 'dataset'?"),
        (("dataset", "lsit"), "did you mean 'list'?"),
        (("bench", "rum"), "did you mean 'run'?"),
        (("bench", "run", "smoek"), "did you mean 'smoke'?"),
        (("train", "nworld", "--task", "rb", "--out", "x"), "did you mean 'networld'?"),
    ],
)
def test_a_mistyped_word_gets_a_short_answer_with_a_suggestion(args, said, capsys):
    assert main(list(args)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 2


def test_a_mistyped_option_lists_only_this_algorithms_near_ones(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "ma-iql", "--task", "rb", "--out", "x", "--config.hiden", "3"])
    said = capsys.readouterr()
    whole = said.err + said.out
    assert "--config.hidden" in whole
    assert not any(f"train {name} " in whole for name in ALGORITHMS if name != "ma-iql")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--only", "speed"), "has no part speed"),
        (("--jobs", "0"), "jobs must be at least 1"),
        (("--seeds", "0"), "seeds must be at least 1"),
    ],
)
def test_a_wrong_option_of_a_suite_is_named_before_any_bar(more, said, tmp_path, capsys):
    assert main(["bench", "run", "smoke", "--results", str(tmp_path), *more]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_help_of_training_names_each_algorithm_once(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(set(lines) - {""}) + lines.count("")
    for name in ALGORITHMS:
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert len(line.split()) > 3


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_training_bar_keeps_bar_count_and_time(width, monkeypatch):
    written = terminal_of(monkeypatch, width)
    with terminal.training_bar() as bar:
        line = bar.add_task("", total=20_000)
        bar.update(line, completed=12_345, details="  ".join(f"loss_{i} 0.123" for i in range(9)))
        bar.refresh()
    (shown,) = {line for line in plain(written).splitlines() if "12345" in line}
    assert "12345/20000 updates" in shown
    assert "━━" in shown
    assert "0:00:00" in shown
    assert "loss_0" in shown or width < 80
    assert len(shown) <= width


@pytest.mark.parametrize("width", [60, 80])
def test_a_bar_folds_an_id_rather_than_cutting_it(width, monkeypatch):
    written = terminal_of(monkeypatch, width)
    with terminal.progress_bar("episodes") as bar:
        terminal.shown_in(bar, "networld/rb/a-name-with-[/]-v0")(100, 500)
        bar.refresh()
    said = plain(written)
    assert "100/500 episodes" in said
    first = said.split("100/500")[0].split("━")[0].strip()
    assert first.startswith("networld/rb/")
    assert "\N{HORIZONTAL ELLIPSIS}" not in said


class _Paths:
    def __init__(self, folder):
        self.folder = folder

    def checkpoint(self, key):
        return self.folder / key

    def progress(self, run):
        return self.folder / f"{run.key}.progress"


def test_a_finished_suite_says_that_nothing_is_left(tmp_path, monkeypatch):
    written = terminal_of(monkeypatch, 80)
    runs = unroll(get_suite("smoke"))[:3]
    with terminal.make_bar(
        terminal.Words(), terminal.Percent(), terminal.Elapsed(), terminal.TimeLeft()
    ) as bar:
        line = bar.add_task("smoke", total=None, visible=False)
        watch = progress._Watch(_Paths(tmp_path), bar, line, Pace(1))
        watch.start(runs)
        bar.refresh()
        for run in runs:
            watch.done(progress.Outcome(run, "", 2.0))
            bar.refresh()
    lines = [line.strip() for line in plain(written).splitlines() if "%" in line]
    assert lines[0].startswith("3 runs left")
    assert any(line.startswith("1 run left") for line in lines)
    assert lines[-1].startswith("no runs left")
    assert lines[-1].endswith("100% 0:00:00")


def test_a_look_at_running_runs_hashes_and_estimates_none_again(tmp_path, monkeypatch):
    """It is made twice a second beside the runs, whose cores it would take."""
    runs = unroll(get_suite("smoke"))[:30]
    with terminal.make_bar(terminal.Words()) as bar:
        line = bar.add_task("smoke", total=None, visible=False)
        watch = progress._Watch(_Paths(tmp_path), bar, line, Pace(1))
        watch.start(runs)
        left = watch.refresh()
        monkeypatch.setattr("networld_algos.bench.runs.make_config", None)
        monkeypatch.setattr("networld_algos.bench.estimate.make_config", None)
        assert watch.refresh() == left > 0.0


def test_estimates_follow_what_this_machine_measures():
    runs = [r for r in unroll(get_suite("demo")) if r.stage == "train"]
    first, rest = runs[0], runs[1:]
    pace = Pace(jobs=2, cores=8)
    before = pace.wall_seconds(rest)
    pace.measured(first, 5 * run_seconds(first))
    assert pace.wall_seconds(rest) == pytest.approx(5 * before)
    other = next(r for r in rest if r.algorithm != first.algorithm)
    pace.measured(other, run_seconds(other))
    assert pace.seconds(first) == pytest.approx(5 * run_seconds(first))
    assert pace.seconds(other) == pytest.approx(run_seconds(other))
    pace.running(other, 30.0, 0.5)
    assert pace.is_measured


def test_more_processes_than_cores_are_not_expected_to_be_faster():
    runs = unroll(get_suite("demo"))
    assert Pace(jobs=8, cores=2).wall_seconds(runs) == pytest.approx(
        Pace(jobs=2, cores=2).wall_seconds(runs)
    )
    longest = max(map(run_seconds, runs))
    assert Pace(jobs=10_000, cores=10_000).wall_seconds(runs) == pytest.approx(longest)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_every_command_and_option(shell, capsys):
    with pytest.raises(SystemExit) as end:
        main(["completion", shell])
    assert not end.value.code
    said = capsys.readouterr().out
    for word in (*command.COMMANDS, *ALGORITHMS, "flatten", "--config.hidden", "--json"):
        assert word in said, word
    assert completion.commands().keys() == command.COMMANDS.keys()


@pytest.mark.parametrize("word", NASTY)
def test_errors_show_what_was_typed(word, capsys):
    assert main([word]) == 2
    assert "\x1b" not in capsys.readouterr().err
    assert main(["report", f"nowhere/{word}"]) == 2
    assert text.visible(f"nowhere/{word}") in capsys.readouterr().err


def test_a_next_command_can_be_pasted_into_a_shell():
    assert terminal.command_text("networld", "report", Path("my runs/[a]")) == (
        "networld report 'my runs/[a]'"
    )


def test_a_label_is_one_level_of_the_name_of_a_metric(tmp_path):
    """TensorBoard groups curves by the parts of a name between slashes."""
    with Log(["csv"], tmp_path) as log:
        log.start(0, 10, {})
        first = make_row(label="mine", score=1.0)
        log.scores([first, make_row(label="see [/home/me]\n", score=1.0)])
    lines = (tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()[1:]
    names = [line.split(",")[1] for line in lines]
    further = "see [\u2215home\u2215me]\\n"
    assert names == [f"{name}/{key}" for name in ("eval", further) for key in ("reward", "score")]


@pytest.mark.parametrize("name", [*NASTY, "two\nlines", "$x$", "a\tb"])
def test_a_picture_takes_any_name(name):
    assert Canvas((640, 480)).text((20, 20), name, 12, INK) > 0


def test_only_three_modules_know_rich():
    """Everything that is printed passes through them, so that nothing is interpreted."""
    users = {
        path.name
        for path in (ROOT / "networld_algos").rglob("*.py")
        if "from rich" in path.read_text() or "import rich" in path.read_text()
    }
    assert users == {"terminal.py", "tables.py", "progress.py"}
    assert "from rich.progress import Progress, TaskID\n" in Path(progress.__file__).read_text()


def test_without_colour_no_escape_is_written():
    done = subprocess.run(
        [sys.executable, "-m", "networld_algos", "bench", "list"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert "\x1b" not in done.stdout
    assert "smoke" in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error():
    command = [sys.executable, "-m", "networld_algos", "train", "bc", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
