"""``networld evaluate MODEL --dataset ID``: judge a model by recorded data, without a simulator."""

from __future__ import annotations

from typing import Any

from networld_algos.base import Algorithm
from networld_algos.cli.tables import Column, Listing, show
from networld_algos.cli.terminal import console, number_text, progress_bar
from networld_algos.results.text import count

QUANTITIES = (
    Column("quantity"),
    Column("value", text=number_text, right=True),
    Column("interval", "95% interval", lambda ends: " to ".join(map(number_text, ends))),
    Column("reference", "recorded policy", number_text, right=True),
    Column("meaning", prose=True),
)


def evaluate_data(
    model: Algorithm,
    about: dict[str, Any],
    checkpoint: str,
    task: str,
    dataset: str,
    most: int,
    discount: float,
    as_json: bool,
) -> int:
    """Judge a model by a dataset and print the result.

    Args:
        model: The model, as it decides.
        about: The ``extra`` of its checkpoint.
        checkpoint: Where it is from.
        task: The task.
        dataset: Id of the dataset.
        most: Most episodes to fit on, and to measure on.
        discount: Discount of the rewards.
        as_json: Print JSON instead of a table.
    """
    from networld_algos.data.load import load_episodes
    from networld_algos.training.ope.config import OPEConfig
    from networld_algos.training.ope.decisions import decide
    from networld_algos.training.ope.judge import CAVEATS, Judge
    from networld_algos.training.ope.parts import divide
    from networld_envs import store

    config = OPEConfig(discount=discount)
    source = store.load(dataset)
    content = store.recorded_hash(source)
    data = load_episodes(source, task)
    fitted, measured, what = divide(data, most, about, dataset, content)
    with progress_bar("steps") as bar:
        title = f"{model.name} on {dataset}, {count(len(fitted) + len(measured), 'episode')}"
        steps = 2 * config.updates + fitted.obs.shape[1] + measured.obs.shape[1]
        line = bar.add_task(title, total=steps)

        def advance() -> None:
            bar.advance(line)

        judge = Judge(fitted, measured, config, on_update=advance)
        found = judge.judge(lambda episodes: decide(model, episodes, on_step=advance))
    rows = [
        {
            "quantity": quantity.name,
            "value": quantity.value,
            "interval": [quantity.low, quantity.high],
            "reference": quantity.reference,
            "meaning": quantity.meaning,
        }
        for quantity in found
    ]
    heading = (
        f"{checkpoint} judged by {dataset}: {count(len(measured), 'episode')} {what}, "
        f"discount {discount:g}"
    )
    facts = {"checkpoint": checkpoint, "algorithm": model.name, "task": task, "dataset": dataset}
    facts |= {"content": content, "agents": data.spec.num_agents, "discount": discount}
    facts |= {"fitted_episodes": len(fitted), "measured_episodes": len(measured)}
    listing = Listing("quantities", QUANTITIES, rows, heading)
    show(listing, as_json=as_json, **facts, measured=what, caveats=list(CAVEATS))
    if not as_json:
        for text in CAVEATS:
            console.print(f"* {text}")
    return 0
