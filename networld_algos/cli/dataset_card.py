"""Dataset cards: a page and a figure that describe the content of a dataset."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_algos.cli.terminal import number_text
from networld_algos.files import write_bytes, write_text
from networld_algos.results import text
from networld_algos.results.stats import normalised_score
from networld_algos.results.text import markdown, paragraph
from networld_envs import store
from networld_envs.policies.references import Score, reference_scores
from networld_envs.policies.rollout import Behaviour
from networld_envs.simulator import about as facts_of
from networld_envs.spec import About, TaskSpec
from networld_envs.store.minari_io import open_local
from networld_envs.store.reading.record import dataset_spec
from networld_envs.store.recipes import known_recipes
from networld_envs.version import __version__

BAR_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
DPI = 150
CARD = """# {dataset_id}

{what}

![Episodes by average reward]({figure})

{table}

## How it was made

{made}

## Values

| field | shape of an episode | least | mean | largest |
|---|---|---|---|---|
{ranges}

[The page of task `{task}`](../../docs/reference/{task}.md) describes the model and the columns.
`networld_envs/store/minari_io.py` says how an episode is stored.

<details><summary>Every column by name</summary>

| field | column | name | unit | range | least | mean | largest |
|---|---|---|---|---|---|---|---|
{columns}

</details>

## How to load it

```python
from networld_algos.data.load import load_episodes
from networld_envs import store

dataset = store.load("{dataset_id}")  # a Minari dataset; downloaded or built if absent
episodes = load_episodes(dataset)  # padded arrays: obs (K, T+1, N, O), actions, rewards, ...
```

## Licence and citation

{licence}. Please cite NetWorld, and the sources of the task named in its documentation:

```bibtex
@software{{networld,
  title   = {{NetWorld: wireless-network tasks, datasets and offline multi-agent learning}},
  author  = {{{{The NetWorld maintainers}}}},
  version = {{{version}}},
  note    = {{Dataset {dataset_id}, SHA-256 {sha256}}},
}}
```
"""


@dataclass(frozen=True)
class Description:
    """Content of a local dataset.

    Attributes:
        dataset_id: Id of the dataset.
        about: NetWorld's metadata.
        minari: Minari's metadata.
        spec: Sizes and bounds.
        rewards: ``(K,)``, mean reward per agent and step of each episode.
        lengths: ``(K,)``, steps of each episode.
        columns: Field -> ``(3, columns)``: least, mean and largest value.
    """

    dataset_id: str
    about: dict[str, Any]
    minari: dict[str, Any]
    spec: TaskSpec
    rewards: NDArray[np.float64]
    lengths: NDArray[np.int64]
    columns: dict[str, NDArray[np.float64]]

    @property
    def facts(self) -> About:
        """Facts about the task."""
        return facts_of(self.about["task"])

    @property
    def scores(self) -> dict[str, Score]:
        """Scores of the task's reference policies at default parameters."""
        return reference_scores(self.about["task"])

    @property
    def behaviours(self) -> list[str]:
        """The policy that made each episode, in words."""
        recipe = self.about.get("recipe")
        if recipe is None:
            return [self.minari.get("algorithm_name", "")] * len(self.rewards)
        names = [str(Behaviour(**b)) for b in recipe["behaviours"]]
        return [names[k % len(names)] for k in range(len(self.rewards))]

    def column_rows(self) -> list[dict[str, Any]]:
        """Field, number, name, unit, range, least, mean and largest value of every column."""
        spec, rows = self.spec, []
        reward = () if spec.reward_column is None else (spec.reward_column,)
        named = {
            "observations": spec.obs_columns,
            "actions": spec.action_columns,
            "agent_rewards": reward,
        }
        for field, columns in named.items():
            for i, (least, mean, most) in enumerate(self.columns[field].T.tolist()):
                row: dict[str, Any] = {"field": field, "column": i}
                row |= {"name": "", "unit": "", "range": ""}
                if columns:
                    row |= {key: getattr(columns[i], key) for key in ("name", "unit", "range")}
                rows.append(row | {"least": least, "mean": mean, "largest": most})
        return rows

    def lines(self) -> dict[str, str]:
        """The main facts, as a table."""
        spec = self.spec
        low, high = (float(np.quantile(self.rewards, q)) for q in (0.05, 0.95))
        mean = float(self.rewards.mean())
        obs, actions = (_span(self.columns[name]) for name in ("observations", "actions"))
        score = {}
        if "recipe" in self.about:  # simulated, like the references of the scale
            value = _committed_score(self.about["task"], mean)
            score["normalised score"] = f"{value:.1f} (0 random, 100 expert)"
        return {
            "task": f"{self.about['task'].upper()}: {self.facts.title}",
            "made by": self.minari.get("algorithm_name", ""),
            "episodes": f"{len(self.rewards)}, {self.lengths.min()}-{self.lengths.max()} steps, "
            f"{self.lengths.sum()} steps in all",
            "agents": f"{spec.num_agents}, at most {spec.neighbour_slots} neighbours each",
            "observations": f"(T+1, {spec.num_agents}, {spec.obs_dim}) float32, {obs}",
            "actions": f"{spec.action_kind}, {actions}",
            "average reward": f"{mean:.4f} per agent and step; 5% to 95% of episodes "
            f"{low:.4f} to {high:.4f}",
            **score,
            "size": f"{self.minari['dataset_size']} MB",
            "content": self.about.get("sha256", "no recorded hash"),
            "licence": self.about.get("licence", "unknown"),
        }


def describe(dataset_id: str) -> Description:
    """Summarise a local dataset, reading one episode at a time.

    Raises:
        networld_envs.store.DatasetError: If it is not in the local store, or is damaged.
    """
    dataset = open_local(dataset_id)
    rewards, lengths = [], []
    least: dict[str, Any] = {}
    total: dict[str, Any] = {}
    most: dict[str, Any] = {}
    rows = dict.fromkeys(("observations", "actions", "agent_rewards"), 0)
    for episode in store.episodes(dataset):
        rewards.append(float(episode["agent_rewards"].mean(dtype=np.float64)))
        lengths.append(len(episode["agent_rewards"]))
        for name in rows:
            value = episode[name]
            flat = value.reshape(-1, value.shape[2] if value.ndim == 3 else 1)  # (rows, columns)
            first = rows[name] == 0
            rows[name] += len(flat)
            least[name] = flat.min(0) if first else np.minimum(least[name], flat.min(0))
            most[name] = flat.max(0) if first else np.maximum(most[name], flat.max(0))
            total[name] = flat.sum(0, dtype=np.float64) + (0.0 if first else total[name])
    about = store.metadata(dataset)
    return Description(
        dataset_id=dataset_id,
        about=about,
        minari=dataset.storage.metadata,
        spec=dataset_spec(about),
        rewards=np.array(rewards),
        lengths=np.array(lengths, np.int64),
        columns={
            name: np.stack([least[name], total[name] / rows[name], most[name]]).astype(np.float64)
            for name in rows
        },
    )


def write_card(dataset_id: str, folder: Path) -> Path:
    """Write a page and a figure beside it from a local dataset.

    They are named by the id, without ``networld/``: ``<task>-<quality>.md``.

    Returns:
        The path of the page.

    Raises:
        DatasetError: If there is no such dataset, or the page is that of another one.
    """
    found = describe(dataset_id)
    stem = dataset_id.removeprefix("networld/").replace("/", "-")
    figure, page = folder / f"{stem}.png", folder / f"{stem}.md"
    if page.exists() and page.read_text(encoding="utf-8").split("\n", 1)[0] != f"# {dataset_id}":
        raise store.DatasetError(
            f"{page} is not the card of {dataset_id}; choose another folder with --out"
        )
    _draw(found, figure)
    lines = found.lines()
    spec, recipe = found.spec, found.about.get("recipe")
    shapes = {
        "observations": f"(T+1, {spec.num_agents}, {spec.obs_dim}) float32",
        "actions": f"(T, {spec.num_agents}, {spec.action_dim}) float32"
        if spec.action_kind == "box"
        else f"(T, {spec.num_agents}) int64",
        "agent_rewards": f"(T, {spec.num_agents}) float32",
    }
    what = found.minari.get("description", "")
    known = known_recipes().get(dataset_id)
    is_ours = known is not None and known.record() == recipe  # its texts are those of the package
    filled = CARD.format(
        dataset_id=dataset_id,
        what=what if is_ours else paragraph(what),
        figure=figure.name,
        table="| | |\n|---|---|\n"
        + "\n".join(f"| {k} | {markdown(v)} |" for k, v in lines.items()),
        made=_how_made(dataset_id, recipe, can_build=is_ours)
        if recipe
        else f"Imported: {markdown(lines['made by'])}.",
        ranges="\n".join(
            f"| {field} | {shape} | " + " | ".join(_whole(found.columns[field])) + " |"
            for field, shape in shapes.items()
        ),
        columns="\n".join(
            f"| {' | '.join(_column_text(value) for value in row.values())} |"
            for row in found.column_rows()
        ),
        task=found.about["task"],
        licence=markdown(lines["licence"]),
        version=__version__,
        sha256=lines["content"],
    )
    return write_text(page, filled)


def _committed_score(task: str, reward: float) -> float:
    """Normalised score of an average reward at a task's default parameters.

    Its random and expert are the committed ones, which were scored on hundreds of networks: a
    dataset belongs to no suite, and has other networks than each of them.
    """
    scores = reference_scores(task)
    return float(normalised_score(reward, scores["random"]["mean"], scores["expert"]["mean"]))


def _how_made(dataset_id: str, recipe: dict[str, Any], can_build: bool) -> str:
    behaviours = [Behaviour(**b) for b in recipe["behaviours"]]
    who = "\n".join(
        f"* {_code(b.policy)}"
        + (f", {b.random_share:.0%} of the actions random" if b.random_share else "")
        for b in behaviours
    )
    first = recipe["seed"]
    build = [f"networld dataset build {dataset_id}"] if can_build else []
    commands = "\n".join([*build, f"networld dataset verify {dataset_id}"])
    return (
        f"{recipe['episodes']} episodes of {recipe['max_cycles']} steps at preset "
        f"{_code(recipe['preset'])}, seeds {first} to {first + recipe['episodes'] - 1}, "
        f"NetWorld {markdown(recipe['version'])}; "
        f"episode i by entry i modulo {len(behaviours)} of\n\n{who}\n\n"
        f"```\n{commands}\n```"
    )


def _code(text: str) -> str:
    """Text in a span of code, which no character of it ends."""
    return f"`{text.replace('`', chr(39))}`"


def _draw(found: Description, path: Path) -> None:
    """Histogram of episodes over average reward, with the reference policies as lines."""
    # `dataset show` needs no figure, and Matplotlib takes long to load.
    from matplotlib.figure import Figure

    from networld_algos.report.style import COLUMN_WIDTH_IN, ROLE_STYLES, drawing

    makers = found.behaviours
    names = list(dict.fromkeys(makers))
    groups = [found.rewards[[m == maker for m in makers]] for maker in names]
    with drawing():
        figure = Figure(figsize=(1.6 * COLUMN_WIDTH_IN, 2.4))
        axes = figure.subplots()
        axes.hist(
            groups,
            bins=40,
            stacked=True,
            color=[_bar_colour(i) for i in range(len(names))],
            label=[text.name(maker) for maker in names],
        )
        if "recipe" in found.about:
            for role in ("random", "expert"):
                style = ROLE_STYLES[role]
                axes.axvline(found.scores[role]["mean"], label=f"{role}, mean", **style)
        axes.set_xlabel(f"{text.name(found.facts.reward_label)}, per agent and step")
        axes.set_ylabel("episodes")
        axes.set_title(found.dataset_id)
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles, labels, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=DPI, metadata={"Software": None})
    write_bytes(path, picture.getvalue())


def _bar_colour(index: int) -> tuple[float, float, float]:
    """Colour of the bars of a behaviour; after one round the colours come again, but paler."""
    from matplotlib.colors import to_rgb

    around, colour = divmod(index, len(BAR_COLOURS))
    pale = 1.0 - 0.5**around
    red, green, blue = (c + pale * (1.0 - c) for c in to_rgb(BAR_COLOURS[colour]))
    return red, green, blue


def _column_text(value: Any) -> str:
    return number_text(value) if isinstance(value, float) else markdown(str(value))


def _span(columns: NDArray[np.float64]) -> str:
    return f"{columns[0].min():.4g} to {columns[2].max():.4g}"


def _whole(columns: NDArray[np.float64]) -> tuple[str, str, str]:
    """Least, mean and largest value over all columns."""
    return (
        f"{columns[0].min():.4g}",
        f"{columns[1].mean():.4g}",
        f"{columns[2].max() + 0.0:.4g}",
    )
