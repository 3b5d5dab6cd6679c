"""Tables as logs: CSV and Parquet become the same dataset as arrays do, whatever their order."""

import gzip
import math

import gymnasium
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import networld_envs
from networld_envs import store
from networld_envs.policies.rollout import Behaviour, rollout
from networld_envs.simulator import register_gymnasium
from networld_envs.store.importing.logs import import_logs, import_report
from networld_envs.store.importing.tables.mapping import column_names
from networld_envs.store.importing.tables.spool import Spool
from networld_envs.store.importing.tables.template import write_template
from networld_envs.store.importing.tables.units import factor
from tests.helpers.tables import AGENTS, HEADER, MINE, Table


@pytest.fixture(autouse=True)
def local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path)


def same(dataset, table, order=(0, 1)):
    """The dataset holds the arrays of the table's episodes."""
    found = list(store.episodes(dataset))
    assert len(found) == len(order)
    for k, episode in zip(order, found, strict=True):
        for name in ("observations", "actions", "agent_rewards"):
            want = table.arrays[f"episode_{k}/{name}"].astype(episode[name].dtype)
            np.testing.assert_array_equal(episode[name], want)
        heard = table.arrays[f"episode_{k}/neighbours"]
        assert [set(r) - {-1} for r in episode["neighbours"]] == [set(r) - {-1} for r in heard]


def test_a_csv_gives_the_arrays_it_was_made_from(table):
    same(table.load(), table)
    assert store.verify(MINE)[0]


def test_parquet_gives_the_same_with_other_types(table, tmp_path):
    frame = pa.csv.read_csv(table.write())
    assert frame.schema.field("asked").type == pa.int64()
    kinds = {"day": pa.dictionary(pa.int32(), pa.string()), "queue": pa.decimal128(9, 2)}
    for name, kind in kinds.items():
        i = frame.column_names.index(name)
        column = frame.column(name)
        column = column.dictionary_encode() if name == "day" else column.cast(kind)
        frame = frame.set_column(i, name, column)
    path = tmp_path / "log.parquet"
    pa.parquet.write_table(frame, path, row_group_size=17)
    same(import_logs(path, MINE, "rb", mapping=tmp_path / "mapping.toml"), table)


def test_order_byte_order_mark_semicolons_commas_blanks_and_empty_lines(table):
    table.encoding, table.delimiter = "utf-8-sig", ";"
    table.mapping["csv"] = {"delimiter": ";", "decimal": ","}
    # The first row of each day stays first, since episodes are numbered by their first rows.
    rest = np.random.default_rng(0).permutation(np.arange(2, len(table.rows)))
    table.rows = [*table.rows[:2], *(table.rows[i] for i in rest)]
    for row in table.rows[1:]:
        row[1:] = [cell.replace(".", ",") for cell in row[1:]]
        row[3] = f" {row[3]} "
    empty = [""] * len(HEADER)
    table.rows.insert(3, empty)
    table.rows += [empty, empty]
    same(table.load(), table)


def test_a_compressed_file_and_a_folder_of_days(table, tmp_path):
    path = table.write()
    packed = tmp_path / "log.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    same(import_logs(packed, MINE, "rb", mapping=tmp_path / "mapping.toml"), table)
    days = tmp_path / "days"
    days.mkdir()
    header, *lines = path.read_text().splitlines()
    for day in ("d0", "d1"):
        own = [line for line in lines if line.startswith(day)]
        (days / f"{day}.csv").write_text("\n".join([header, *own]))
    same(import_logs(days, MINE, "rb", mapping=tmp_path / "mapping.toml", force=True), table)
    (days / "d1.csv").write_text((days / "d1.csv").read_text().replace("n3", "n9", 1))
    with pytest.raises(store.DatasetError, match=r"'n9', first named in d1\.csv, line 5, has no"):
        import_logs(days, MINE, "rb", mapping=tmp_path / "mapping.toml", force=True)


def test_nothing_of_a_folder_is_left_out_without_a_word(table, tmp_path):
    header, *lines = table.write().read_text().splitlines()
    days, mapping = tmp_path / "days", tmp_path / "days" / "mapping.toml"
    days.mkdir()
    for name in ("mapping.toml", "neighbours.csv"):  # may lie beside the tables
        (tmp_path / name).rename(days / name)
    for day, name in (("d0", "d0.csv"), ("d1", "d1.CSV")):
        own = [line for line in lines if line.startswith(day)]
        (days / name).write_text("\n".join([header, *own]))
    (days / "_SUCCESS").touch()
    same(import_logs(days, MINE, "rb", mapping=mapping), table)
    packed = tmp_path / "LOG.CSV.GZ"
    packed.write_bytes(gzip.compress("\n".join([header, *lines]).encode()))
    same(import_logs(packed, MINE, "rb", mapping=mapping, force=True), table)
    (days / "more").mkdir()
    (days / "day2.csv.bz2").touch()
    with pytest.raises(store.DatasetError, match=r"also holds day2\.csv\.bz2, more/, which would"):
        import_logs(days, MINE, "rb", mapping=mapping, force=True)


def test_labels_of_numbers_with_empty_cells(table, tmp_path):
    frame = pa.csv.read_csv(table.write())
    at = frame.column_names.index("day")

    def load(days, kind=None):
        path = tmp_path / "log.parquet"
        pa.parquet.write_table(frame.set_column(at, "day", pa.array(days, kind)), path)
        return import_logs(path, MINE, "rb", mapping=tmp_path / "mapping.toml")

    numbers = [float(day[1:]) for day in frame.column("day").to_pylist()]
    for missing in (None, math.nan):
        broken = [*numbers[:7], missing, *numbers[8:]]
        with pytest.raises(store.DatasetError, match=r"row 8, column 'day': the cell is empty"):
            load(broken)
    with pytest.raises(store.DatasetError, match=r"row 1, column 'day': an infinite number"):
        load([math.inf, *numbers[1:]])
    with pytest.raises(store.DatasetError, match=r"log\.parquet: column 'day' has type list<"):
        load([[x] for x in numbers])
    with pytest.raises(store.DatasetError, match=r"log\.parquet: column 'day' .*cannot be read"):
        load([1e30, *numbers[1:]])
    same(load(numbers), table)


def test_units_scales_constants_and_values_of_the_next_row(table):
    m = table.mapping
    m["observations"]["cluster_load"] = {"column": "cluster_load", "unit": "%"}
    m["observations"]["queue"] = {"column": "queue", "scale": 0.5, "offset": -1.0}
    m["observations"]["success_ratio"] = {"constant": 0.25}
    m["actions"]["request"] = {"column": "asked", "row": "next"}
    m["reward"] = {"column": "reward", "row": "next", "scale": -1}
    before = ["", ""]
    for agent in AGENTS:
        for row in [r for r in table.rows if r[2] == agent]:
            row[8] = str(100 * float(row[8]))
            row[4] = str(2 * float(row[4]) + 2)
            own, row[-2:] = row[-2:], before if row[1] != "0.00" else ["", ""]
            before = [own[0], str(-float(own[1])) if own[1] else ""]
    for k in range(2):
        table.arrays[f"episode_{k}/observations"][..., 6] = 0.25
    same(table.load(), table)


def test_dates_with_a_zone(table):
    table.mapping["time"] = {"column": "time", "step": 0.02, "format": "timestamp"}
    for row in table.rows[1:]:
        row[1] = f"2026-03-29T01:59:59.{round(100 * float(row[1])):02d}+01:00"
    same(table.load(), table)
    line = len(table.rows)
    table.rows[-1][1] = "29.3.2026"
    with pytest.raises(
        store.DatasetError, match=rf"log\.csv, line {line}, column 'time': '29.3.2026'"
    ):
        table.load()


def test_a_single_file_is_cut_into_episodes_of_some_steps(table):
    table.rows = [r for r in table.rows if r[0] != "d0"]
    table.mapping["episode"] = {"steps": 4}
    episodes = list(store.episodes(table.load()))
    assert [len(e["actions"]) for e in episodes] == [3, 3]
    obs = table.arrays["episode_1/observations"]
    np.testing.assert_array_equal(episodes[0]["observations"], obs[:4])
    np.testing.assert_array_equal(episodes[1]["observations"], obs[4:])
    del table.mapping["episode"]
    assert [len(e["actions"]) for e in store.episodes(table.load())] == [7]


def test_agents_are_sorted_by_number_and_can_be_chosen(table):
    names = dict(zip(AGENTS, ("n10", "n2", "n1", "n3", "probe"), strict=True))
    for row in [*table.rows[1:], *table.pairs[1:]]:
        row[:] = [names.get(cell, cell) for cell in row]
    table.mapping["agent"]["keep"] = ["n2", "n10", "n1", "n3"]
    # Without the probe, the cluster's numbers are no longer those of the agents that are left.
    dataset = table.load()
    obs = table.arrays["episode_0/observations"][:, [1, 0, 2, 3]]
    np.testing.assert_array_equal(next(iter(store.episodes(dataset)))["observations"], obs)
    assert "11 rows" not in import_report(dataset).changed[0]
    assert "13 rows of agents that are not in keep were left out" in import_report(dataset).changed
    table.mapping["agent"]["keep"] = ["n2", "n7"]
    with pytest.raises(store.DatasetError, match=r"keep lists 'n7'.*n1, n2, n3 and 2 more"):
        table.load()


PRESETS = [
    (task, preset)
    for task, presets in {
        "rb": ("default", "cdmp"),
        "ns": ("default", "hua2019_code"),
        "cbf": ("default", "ge2020"),
    }.items()
    for preset in presets
]


@pytest.mark.parametrize(("task", "preset"), [*PRESETS, ("toy", "default"), ("toy", "ordered")])
def test_a_template_can_be_imported_as_it_is(tmp_path, monkeypatch, task, preset):
    if task == "toy":
        monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
        register_gymnasium(task)
    mapping, logs, _ = write_template(task, preset, tmp_path / "new")
    dataset = import_logs(logs, MINE, task, preset, mapping=mapping, strict=True)
    assert dataset.total_episodes == 4  # as many as `evaluate --dataset` needs
    assert import_report(dataset).changed == ()
    module = networld_envs.TASKS[task]
    spec = module.spec(networld_envs.make_params(task, preset))
    header = logs.read_text().split("\n")[0].split(",")
    assert header[3 : 3 + spec.obs_dim] == list(column_names(spec, "observations"))
    with pytest.raises(store.DatasetError, match="already exists"):
        write_template(task, preset, tmp_path / "new")


@pytest.mark.parametrize(
    ("task", "preset", "changes"),
    [
        (
            "rb",
            "default",
            {"buffer": 12, "initial_backlog": 12, "load": 0.5},
        ),  # some packets are dropped
        ("ns", "default", {"violation_penalty": 0.5, "slice_weights": (1, 2, 3)}),
        ("ns", "hua2019_code", {}),
    ],
)
def test_a_task_computes_its_own_reward_from_columns(task, preset, changes):
    params = networld_envs.make_params(task, preset, **changes)
    made = rollout(task, params, Behaviour("random"), [0, 1], 6)
    module = networld_envs.TASKS[task]
    names = column_names(module.spec(params), "observations")
    for k in range(2):
        columns = {name: made.obs[k, ..., i] for i, name in enumerate(names)}
        found = module.ABOUT.logs.reward(params, columns, made.actions[k])
        np.testing.assert_allclose(found, made.rewards[k], rtol=1e-5, atol=1e-6)
    if task == "rb":
        assert made.metrics["dropped"].any()


def test_the_reward_of_the_task_in_place_of_a_column(table):
    want = table.load()
    table.mapping["reward"] = {"task": True}
    for row in table.rows[1:]:
        row[-1] = ""
    same(table.load(), table)
    assert want.total_steps == 11
    line = table.set("d1", 3, "n2", "queue", "49")
    with pytest.raises(store.DatasetError, match=rf"log\.csv, line {line} \(agent 'n2'\)"):
        table.load()


@pytest.mark.parametrize(
    ("task", "preset", "why"),
    [
        ("cbf", "default", "it states no formula"),
        ("rb", "cdmp", "it needs column 'grant', which this preset does not observe"),
    ],
)
def test_a_task_that_cannot_compute_its_reward_says_why(tmp_path, task, preset, why):
    mapping, logs, _ = write_template(task, preset, tmp_path)
    text = mapping.read_text().split("[reward]")[0] + "[reward]\ntask = true\n[neighbours]\n"
    mapping.write_text(text + 'file = "neighbours.csv"\n')
    with pytest.raises(store.DatasetError, match=f"{task}.*cannot compute its reward.*{why}"):
        import_logs(logs, MINE, task, preset, mapping=mapping)


def test_a_spool_returns_the_rows_of_each_episode(tmp_path):
    rng = np.random.default_rng(0)
    spool, want = Spool(tmp_path / "rows", 3), {}
    for n in (1, 50, 7, 0, 30):
        episodes = rng.integers(0, 4, n)
        rows = rng.random((n, 3))
        if n:
            spool.add(episodes, rows)
        for e, row in zip(episodes.tolist(), rows, strict=True):
            want.setdefault(e, []).append(row)
    assert sorted(spool.episodes) == sorted(want)
    for e in want:
        np.testing.assert_array_equal(spool.read(e), want[e])
    spool.close()


@pytest.mark.parametrize(
    ("given", "wanted", "value"),
    [
        ("MHz", "Hz", 1e6),
        ("kB", "bit", 8e3),
        ("%", "", 0.01),
        ("dB", "dB/10", 0.1),
        ("mW", "1e-9 mW", 1e9),
        ("bit/s/Hz", "5 bit/s/Hz", 0.2),
        ("packet", "packets", 1.0),
        ("bytes", "packets", None),
        ("dBm", "dB/10", None),
        ("Hz", "", None),
    ],
)
def test_units(given, wanted, value):
    assert factor(given, wanted) == (value if value is None else pytest.approx(value))
