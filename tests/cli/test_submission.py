"""`networld bench check` and `networld bench leaderboard`: exit statuses and what they print."""

import pytest

from networld_algos.cli.command import main
from tests.helpers.catalogue import shorten
from tests.helpers.submissions import (
    METADATA,
    SUITE,
    made_up_rows,
    reference_rows,
    tiny_suite,
    write_files,
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A suite's file, its committed rows and a submission, in the current folder."""
    shorten(monkeypatch, tmp_path / "catalogue", 8)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite.py").write_text(SUITE)
    suite = tiny_suite()
    write_files(tmp_path / "theirs", {**made_up_rows(suite, "bc", 0.4), **reference_rows(suite)})
    write_files(tmp_path / "in" / "mine", made_up_rows(suite, "mine", 0.6), METADATA)
    return tmp_path


def test_check_accepts_or_lists_faults_by_its_exit_status(here, capsys):
    words = ["bench", "check", "in/mine", "--suite", "suite.py", "--committed", "theirs"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "accepted: 8 rows of mine in comparison, cost, fewshot, robustness" in said
    (here / "in" / "mine" / "submission.toml").write_text(METADATA + 'note = "[red]x"\n')
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "in/mine/submission.toml, line 6: unknown key 'note'" in said
    assert "refused: 1 fault" in said
    assert main([*words[:-2], "--committed", "nowhere"]) == 2
    assert "nowhere has no result rows" in capsys.readouterr().err
    assert main(["bench", "check", "in/none", "--suite", "suite.py"]) == 2
    assert "no folder in/none" in capsys.readouterr().err
    main(words[:-2])
    said = capsys.readouterr().out
    assert "no committed rows: versions, epochs, minutes, speed and scores were not" in said


def test_leaderboard_writes_the_page(here, capsys):
    words = ["bench", "leaderboard", "--suite", "suite.py", "--submissions", "in"]
    assert main([*words, "--committed", "theirs", "--out", "page.md"]) == 0
    assert "Filtered cloning" in (here / "page.md").read_text()
    assert main(words) == 2
    assert "no committed results of suite 'tiny'" in capsys.readouterr().err


def test_options_that_need_committed_rows(capsys):
    assert main(["bench", "run", "demo", "--budget", "minutes"]) == 2
    assert "--committed and --budget need --against-committed" in capsys.readouterr().err
    assert main(["bench", "run", "suite.py", "--against-committed"]) == 2
    assert "needs your own algorithm: --algorithm" in capsys.readouterr().err
