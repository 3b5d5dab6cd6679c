import pytest

from networld_algos.results.display import Display, MethodLook, TaskLook
from networld_algos.results.folder import DISPLAY, read_display, read_suite, write_display
from networld_algos.results.rows import write_rows
from tests.report.rows import make_row


def test_looks_survive_a_round_trip_in_their_order(tmp_path):
    display = Display(
        {"b": TaskLook("beams", "Average reward (m\u00b2)"), "a": TaskLook("arrivals")},
        {"z": MethodLook("Z", "#0A0B0C", "P"), "c": MethodLook("C")},
    )
    assert read_display(tmp_path) is None
    write_display(tmp_path, display)
    found = read_display(tmp_path)
    assert found == display
    assert found is not None
    assert (list(found.tasks), list(found.algorithms)) == (["b", "a"], ["z", "c"])
    assert [p.name for p in tmp_path.iterdir()] == [DISPLAY]


def test_a_later_run_keeps_what_it_does_not_know(tmp_path):
    """A second command may add other algorithms to the same suite."""
    write_display(tmp_path, Display({"a": TaskLook("old")}, {"mine": MethodLook("Mine")}))
    write_display(tmp_path, Display({"a": TaskLook("new")}, {"bc": MethodLook("BC")}))
    found = read_display(tmp_path)
    assert found is not None
    assert found.tasks == {"a": TaskLook("new")}
    assert list(found.algorithms.items()) == [
        ("bc", MethodLook("BC")),
        ("mine", MethodLook("Mine")),
    ]


def test_a_suite_is_read_with_its_looks(tmp_path):
    path = write_rows(tmp_path / "demo" / "a.jsonl", [make_row(suite="demo")])
    assert read_suite(tmp_path / "demo").display is None
    display = Display({}, {"bc": MethodLook("BC")})
    write_display(tmp_path / "demo", display)
    for place in (tmp_path, tmp_path / "demo", path):
        assert read_suite(place).display == display


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting"),
        ("[]", "'tasks' and 'algorithms'"),
        ('{"tasks": {}, "algorithms": {"a": 1}}', "an object of objects"),
        ('{"tasks": {"a": {}}, "algorithms": {}}', "title"),
        ('{"tasks": {}, "algorithms": {"a": {"title": "A", "colour": "red"}}}', "got 'red'"),
    ],
)
def test_a_damaged_file_is_named_with_a_remedy(tmp_path, text, message):
    (tmp_path / DISPLAY).write_text(text)
    expected = rf"display\.json is damaged .*{message}.*delete this file"
    with pytest.raises(ValueError, match=expected):
        read_display(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"title": ""}, "title must be a non-empty text"),
        ({"title": "A", "colour": "#12345"}, "colour must be '#RRGGBB' in capitals, got '#12345'"),
        ({"title": "A", "marker": "."}, "marker must be one of o s .*, got '.'"),
    ],
)
def test_a_look_that_cannot_be_drawn_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        MethodLook(**values)
