"""Tables with the disorder of real logs: mended if the mapping says so, otherwise named."""

import csv
import dataclasses
import datetime
import gzip
import sys

import numpy as np
import pytest

from networld_envs import store
from networld_envs.simulator import TASKS, make_params
from networld_envs.store.importing.logs import import_logs, import_report
from networld_envs.store.importing.tables.mapping_reader import read_mapping
from tests.helpers.tables import HEADER, MINE, Table


@pytest.fixture
def local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


@pytest.fixture
def table(tmp_path, local_store):
    return Table(tmp_path)


def cell(column, value, day="d1", step=3, agent="n2"):
    return lambda t: t.set(day, step, agent, column, value)


def drop(day, step, agent):
    def change(t):
        i = t.at(day, step, agent)
        del t.rows[i]
        return i + 1

    return change


def vanish(t):
    for step in range(5, 8):
        drop("d1", step, "n4")(t)


def appear(t):
    for step in range(3):
        drop("d1", step, "n4")(t)


def step_missing(t):
    for i in range(5):
        drop("d1", 3, f"n{i}")(t)


def copy(column=None, value=None):
    def change(t):
        row = list(t.rows[t.at("d0", 2, "n1")])
        if column:
            row[HEADER.index(column)] = value
        t.rows.insert(9, row)

    return change


def mapped(section, **keys):
    return lambda t: t.mapping[section].update(keys)


def observed(name, value):
    return lambda t: t.mapping["observations"].update({name: value})


def raw(text):
    def change(t):
        t.rows.append(text)

    return change


FAULTS = {
    "empty cell": (cell("queue", ""), r"log\.csv, line {0} \(agent 'n2'\), column 'queue'.*hold"),
    "NaN": (cell("queue", "NaN"), r"line {0} .*column 'queue': the cell is empty"),
    "no action": (cell("asked", "NA"), r"line {0} .*column 'asked': .*gaps = \"split\""),
    "no reward": (cell("reward", ""), r"line {0} .*column 'reward'"),
    "infinite": (cell("arrivals", "inf"), r"line {0} .*column 'arrivals': .* is inf, outside"),
    "infinite reward": (cell("reward", "-inf"), r"line {0} .*column 'reward': the reward is -inf"),
    "text": (cell("queue", "many"), r"line {0}, column 'queue': 'many' is not a number"),
    "decimal comma": (cell("queue", "3,5"), r"line {0}, column 'queue': '3,5'.*decimal = \",\""),
    "wrong unit": (cell("queue", "4000"), r"line {0} .*queue is 4000, outside \[0, 50\].*unit"),
    "fraction": (cell("asked", "2.5"), r"line {0} .*'asked'.*request is 2.5.*whole number"),
    "too large": (cell("asked", "41"), r"line {0} .*'asked'.*request is 41, outside \[0, 40\]"),
    "no agent": (cell("node", ""), r"line {0}, column 'node': the cell is empty"),
    "no time": (cell("time", ""), r"line {0}, column 'time': the row has no time"),
    "a date": (cell("time", "2026-01-01"), r"line {0}, column 'time'.*format = \"timestamp\""),
    "late": (
        cell("time", "0.066"),
        r"line {0} \(agent 'n2'\).*0.30 steps .*irregular = \"resample\"",
    ),
    "no row": (drop("d1", 3, "n2"), r"agent 'n2' has no row at time 0.06 .*log\.csv, line"),
    "vanished": (vanish, r"agent 'n4' vanishes before time 0.1 .*keep of \[agent\]"),
    "appeared": (appear, r"agent 'n4' appears only at time 0.06 .*line"),
    "no step": (
        step_missing,
        r"no agent has a row between time 0.04 .*1 steps of 0.02 are missing",
    ),
    "copy": (copy(), r"line 14 \(agent 'n1'\): a second row.*is equal.*\"equal\""),
    "other copy": (copy("queue", "9"), r"line 14 .*differs in column 'queue'.*\"last\""),
    "cut off": (raw(["d1", "0.1"]), r"line 67: the row has 2 cells and the header 13"),
    "column": (observed("queue", "Queue"), r"log\.csv has no column 'Queue'.*its columns are day"),
    "task's": (observed("qeue", "queue"), r"\[observations\]: 'qeue' .*did you mean 'queue'"),
    "unit": (observed("queue", {"column": "queue", "unit": "bytes"}), r"unit 'bytes'.*give scale"),
    "unit and scale": (
        observed("queue", {"column": "queue", "unit": "packets", "scale": 2.0}),
        r"\[observations\]: queue: give either unit or scale",
    ),
    "rounding": (mapped("time", step=1e-17), r"column 'time': steps of 1e-17 cannot be told apart"),
    "key": (
        mapped("time", stpe=1),
        r"mapping\.toml \[time\]: has no key 'stpe'; did you mean 'step'",
    ),
    "value": (
        mapped("rows", gaps="fill"),
        r"\[rows\]: gaps must be 'refuse' or 'split', got 'fill'",
    ),
    "type": (mapped("time", step="x"), r"\[time\]: step must be a number, got 'x'"),
    "section": (lambda t: t.mapping.pop("reward"), r"has no section \[reward\]"),
    "pair": (lambda t: t.pairs.append(["n1", "n7"]), r"neighbours\.csv, line 12, .*no agent 'n7'"),
    "one-sided": (lambda t: t.pairs.pop(), r"does not list agent .*\[agent 'n\d' in episode 'd0'"),
    "own": (lambda t: t.pairs.append(["n1", "n1"]), r"line 12: agent 'n1' is listed as its own"),
    "no list": (mapped("neighbours", file="no.csv"), r"list of neighbours cannot be read.*no\.csv"),
    "shown": (cell("request", "7", step=4), r"column 2 \(grant\)|request"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_and_leaves_nothing(table, local_store, name):
    change, text = FAULTS[name]
    line = change(table)
    with pytest.raises(store.DatasetError, match=text.format(line, 0) if line else text) as error:
        table.load()
    assert str(error.value).startswith("log.csv")
    assert [p.name for p in local_store.rglob("*") if p.is_file()] == [".table-v0.lock"]


def lengths(dataset):
    return [len(episode["actions"]) for episode in store.episodes(dataset)]


def test_a_missing_observation_can_repeat_the_last(table):
    table.set("d1", 3, "n2", "queue", "")
    table.mapping["rows"] = {"hold": 1}
    dataset = table.load()
    obs = list(store.episodes(dataset))[1]["observations"]
    assert obs[3, 2, 1] == obs[2, 2, 1] == table.arrays["episode_1/observations"][2, 2, 1]
    assert import_report(dataset).changed == (
        "1 missing observations were filled with the last value (hold = 1)",
    )
    table.set("d1", 4, "n2", "queue", "")
    with pytest.raises(store.DatasetError, match=r"column 'queue': the cell is empty"):
        table.load()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (cell("queue", ""), [4, 2, 3]),  # step 3 has no observation
        (cell("asked", ""), [4, 3, 3]),  # nor step 3 an action
        (step_missing, [4, 2, 3]),
        (vanish, [4, 4]),
        (appear, [4, 4]),
    ],
)
def test_a_log_can_be_cut_at_gaps(table, change, found):
    change(table)
    table.mapping["rows"] = {"gaps": "split"}
    dataset = table.load()
    assert lengths(dataset) == found
    assert f"2 episodes of the table became {len(found)}" in import_report(dataset).changed[0]


def test_copies_can_be_dropped(table):
    copy()(table)
    table.mapping["rows"] = {"duplicates": "equal"}
    dataset = table.load()
    assert lengths(dataset) == [4, 7]
    assert import_report(dataset).changed == (
        '1 rows were dropped because they are copies (duplicates = "equal")',
    )
    copy("arrivals", "9")(table)
    with pytest.raises(store.DatasetError, match="differs in column 'arrivals'"):
        table.load()
    table.rows.append(table.rows.pop(9))  # the last of the file counts
    table.mapping["rows"] = {"duplicates": "last"}
    dataset = table.load()
    assert next(iter(store.episodes(dataset)))["observations"][2, 1, 0] == 9
    assert "a later one has their time" in import_report(dataset).changed[0]


def test_irregular_times_can_be_resampled(table):
    offset = {f"n{i}": 0.003 * i for i in range(5)}
    for row in table.rows[1:]:
        row[1] = f"{float(row[1]) + offset[row[2]]:.3f}"
    with pytest.raises(store.DatasetError, match=r"steps from the nearest step"):
        table.load()
    table.mapping["time"]["irregular"] = "resample"
    dataset = table.load()
    assert lengths(dataset) == [4, 7]
    want = table.arrays["episode_1/observations"]
    np.testing.assert_array_equal(list(store.episodes(dataset))[1]["observations"], want)
    assert "rows were moved" in import_report(dataset).changed[0]


@pytest.mark.parametrize("dated", [False, True])
def test_resampling_moves_no_row_that_is_on_the_grid(table, dated):
    """Seconds since 1970 are rounded to 2.4e-7 s, which must not count as a little too late."""
    start = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    for row in table.rows[1:]:
        time = start + datetime.timedelta(seconds=float(row[1]))
        row[1] = f"{time:%Y-%m-%d %H:%M:%S.%f}" if dated else f"{time.timestamp():.2f}"
    table.mapping["time"] |= {"irregular": "resample"} | ({"format": "timestamp"} if dated else {})
    dataset = table.load()
    assert lengths(dataset) == [4, 7]
    assert not import_report(dataset).changed
    for k, episode in enumerate(store.episodes(dataset)):
        want = table.arrays[f"episode_{k}/observations"]
        np.testing.assert_array_equal(episode["observations"], want)


def test_dates_have_a_zone_in_every_file_or_in_none(table, tmp_path):
    header, rows = table.rows[0], table.rows[1:]
    for row in rows:
        row[1] = f"2026-01-31 12:00:{float(row[1]):09.6f}" + ("" if row[0] == "d0" else "+02:00")
    table.mapping["time"]["format"] = "timestamp"
    folder = tmp_path / "days"
    folder.mkdir()
    for day in ("d0", "d1"):
        table.name, table.rows = f"days/{day}.csv", [header, *(r for r in rows if r[0] == day)]
        table.write()
    mapping = tmp_path / "mapping.toml"
    with pytest.raises(store.DatasetError, match=r"d1\.csv, line 2, .*'time'.*has a time zone"):
        import_logs(folder, MINE, "rb", mapping=mapping)


def test_other_encodings_and_delimiters_are_named(table, tmp_path):
    table.delimiter = ";"
    with pytest.raises(store.DatasetError, match=r'log\.csv, line 1: .*set delimiter = ";"'):
        table.load()
    table.delimiter, table.encoding = ",", "utf-16"
    with pytest.raises(store.DatasetError, match=r"log\.csv, line 1: the text is not in utf-8"):
        table.load()
    table.encoding = "latin-1"
    line = table.set("d0", 3, "n1", "node", "Köln")
    with pytest.raises(store.DatasetError, match=rf"log\.csv, line {line}: the text is not in"):
        table.load()


def test_files_that_were_copied_in_part_or_have_an_open_quote_are_named(table, tmp_path):
    text = table.write().read_text()
    mapping = tmp_path / "mapping.toml"
    whole = gzip.compress(text.encode())
    for data in (whole[: len(whole) // 2], b"no gzip"):
        (tmp_path / "log.csv.gz").write_bytes(data)
        with pytest.raises(store.DatasetError, match=r"log\.csv\.gz cannot be .*copy it again"):
            import_logs(tmp_path / "log.csv.gz", MINE, "rb", mapping=mapping)
    (tmp_path / "log.csv").write_text('"' + text + "x" * csv.field_size_limit())
    with pytest.raises(store.DatasetError, match=r"log\.csv, line 1: .* quotation mark is not"):
        import_logs(tmp_path / "log.csv", MINE, "rb", mapping=mapping)


@pytest.mark.parametrize("zone", ["", "+00:00"])
def test_times_in_errors_are_dates_if_the_log_has_dates(table, zone):
    for row in table.rows[1:]:
        row[1] = f"2026-01-31 12:00:{float(row[1]):05.2f}{zone}"
    table.rows = [row for row in table.rows if not row[1].startswith("2026-01-31 12:00:00.04")]
    table.mapping["time"]["format"] = "timestamp"
    first, second = (f"2026-01-31 12:00:00.0{n}0000{zone and ' UTC'}" for n in (2, 6))
    with pytest.raises(store.DatasetError) as error:
        table.load()
    assert f"between time {first} (log.csv, line " in str(error.value)
    assert f" and {second}: 1 steps of 0.02 are missing" in str(error.value)


def test_a_unit_needs_one_of_the_task(table, tmp_path):
    spec = TASKS["rb"].spec(make_params("rb"))
    nameless = dataclasses.replace(spec, obs_columns=())
    sources = {f"obs_{i}": c.name for i, c in enumerate(spec.obs_columns)}
    table.mapping["observations"] = sources | {"obs_1": {"column": "queue", "unit": "kB"}}
    table.write()
    with pytest.raises(store.DatasetError, match=r"obs_1: task 'rb' does not state the unit"):
        read_mapping(tmp_path / "mapping.toml", nameless)


def test_what_a_table_needs(table, tmp_path, monkeypatch):
    path = table.write()
    with pytest.raises(store.DatasetError, match=r"is a table.*--mapping.*template --task rb"):
        import_logs(path, MINE, "rb")
    with pytest.raises(store.DatasetError, match=r"only tables .* have a mapping"):
        import_logs(tmp_path / "log.npz", MINE, "rb", mapping=tmp_path / "mapping.toml")
    path.write_text("")
    with pytest.raises(store.DatasetError, match=r"log\.csv is empty"):
        import_logs(path, MINE, "rb", mapping=tmp_path / "mapping.toml")
    path.write_text(",".join(HEADER))
    with pytest.raises(store.DatasetError, match=r"log\.csv holds no rows"):
        import_logs(path, MINE, "rb", mapping=tmp_path / "mapping.toml")
    damaged = tmp_path / "log.parquet"
    damaged.write_bytes(b"PAR1 and nothing")
    with pytest.raises(store.DatasetError, match=r"log\.parquet: .*write it again"):
        import_logs(damaged, MINE, "rb", mapping=tmp_path / "mapping.toml")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(store.DatasetError, match=r"pip install 'networld\[tables\]'"):
        import_logs(path, MINE, "rb", mapping=tmp_path / "mapping.toml")
