"""``networld act`` speaks JSON lines with a program that knows nothing about Python."""

import base64
import io
import json

import numpy as np
import pytest

from networld_algos import save
from networld_algos.cli import command
from networld_algos.deploy import Policy, Station
from tests.helpers.algorithms import untrained


@pytest.fixture
def model(toy, tmp_path):
    save(untrained("bc", toy("box").spec), tmp_path)
    return tmp_path


def talk(monkeypatch, capsys, args, *requests):
    """What the command answers to requests, which are objects or text."""
    lines = [r if isinstance(r, str) else json.dumps(r) for r in requests]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))
    assert command.main(["act", *map(str, args)]) == 0
    ready, *answers = map(json.loads, capsys.readouterr().out.splitlines())
    assert ready["ready"]["task"] == "toy"
    return answers


def test_a_network_decides_line_by_line(toy, model, monkeypatch, capsys):
    obs, table = toy("box").obs(1)[0], toy("box").table
    answers = talk(
        monkeypatch, capsys, [model],
        {"observations": obs.tolist()},
        {"observations": obs.tolist(), "neighbours": table.tolist()},
        "no JSON", "", [1], {"observations": [[1.0]]}, {"colour": 1}, {},
        {"observations": [[1.0], []]}, {"observations": [[10**400]]},
        {"reset": True},
        {"observations": obs.tolist()},
    )  # fmt: skip
    expected = Policy.load(model).act(obs, table)
    assert np.array_equal(np.float32(answers[1]["actions"]), expected)
    assert answers[1] == answers[-1]
    assert answers[-2] == {"reset": True}
    errors = [a["error"] for a in (answers[0], *answers[2:9])]
    words = ("needs neighbours", "line 3", "JSON object", "have shape", "'colour'", "needs obs")
    words += ("5 for each agent", "5 for each agent")
    assert all(word in error for word, error in zip(words, errors, strict=True)), errors


def test_agents_may_have_no_slot_for_a_neighbour(toy, model, monkeypatch, capsys):
    obs = toy("box").obs(1)[0]
    request = {"observations": obs.tolist(), "neighbours": [[] for _ in obs]}
    (answer,) = talk(monkeypatch, capsys, [model], request)
    expected = Policy.load(model).act(obs, np.empty((len(obs), 0), np.int64))
    assert np.array_equal(np.float32(answer["actions"]), expected)


def test_a_station_decides_line_by_line(toy, model, monkeypatch, capsys):
    obs = toy("box").obs(1)[0]
    neighbour = Station.load(model, 1, [0], message_delay=1)
    sent = base64.b64encode(neighbour.observe(obs[1])).decode()
    args = [model, "--number", 0, "--neighbours", 1]
    steps = [{"observation": obs[0].tolist(), "inbox": box} for box in ([], [sent], ["?!é"], [7])]
    answers = talk(monkeypatch, capsys, [*args, "--delay", 1], *steps)
    twin = Station.load(model, 0, [1], message_delay=1)
    for answer, inbox in zip(answers, ([], [base64.b64decode(sent)], []), strict=False):
        action, outbox = twin.step(obs[0], inbox)
        assert np.array_equal(np.float32(answer["action"]), action)
        assert base64.b64decode(answer["outbox"]) == outbox
        assert answer["fell_back"] == ""
    assert "list of texts" in answers[3]["error"]
    halves = [{"observation": obs[0].tolist()}, {"inbox": [sent]}, {"inbox": []}, steps[0]]
    observed, decided, twice, both = talk(monkeypatch, capsys, args, *halves)
    assert observed["outbox"]
    assert len(decided["action"]) == 2
    assert "call observe" in twice["error"]
    assert "two lines" in both["error"]
    assert talk(monkeypatch, capsys, args, {"reset": True, "slot": 5}) == [{"reset": True}]


def test_an_exported_station_speaks_too(toy, model, monkeypatch, capsys):
    assert command.main(["export", str(model), "--out", str(model / "onnx")]) == 0
    assert "opset 18" in capsys.readouterr().out
    step = {"observation": toy("box").obs(1)[0, 0].tolist(), "inbox": []}
    args = ["--number", 0, "--neighbours", 1, "--delay", 1]
    ours, theirs = (talk(monkeypatch, capsys, [f, *args], step) for f in (model, model / "onnx"))
    np.testing.assert_allclose(ours[0]["action"], theirs[0]["action"], atol=1e-5)
    assert command.main(["act", str(model / "onnx")]) == 2
    assert "give its --number" in capsys.readouterr().err
    for folder in (model, model / "onnx"):
        assert command.main(["act", str(folder), "--number", "-1"]) == 2
        assert "at least 0, got seed 0 and number -1" in capsys.readouterr().err
    assert command.main(["act", str(model), "--neighbours", "1"]) == 2
    assert "give its --number" in capsys.readouterr().err


def test_no_line_ends_the_service(toy, model, monkeypatch, capsys):
    observation = json.dumps(toy("box").obs(1)[0, 0].tolist())
    slots = [f'{{"observation": {observation}, "slot": {n}}}' for n in ("1e400", "-1", '"x"', "3")]
    given = ["\xff", '{"observation": [1e400]}', f'{{"observation": [{10**400}]}}', *slots]
    stdin = io.TextIOWrapper(io.BytesIO("\n".join(given).encode("latin-1")), "utf-8")
    monkeypatch.setattr("sys.stdin", stdin)
    assert command.main(["act", str(model), "--number", "0", "--neighbours", "1"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()][1:]
    assert ["error" in answer for answer in answers] == [True] * 6 + [False]
    assert "outbox" in answers[-1]
