"""The ``networld`` command: references, datasets, training, evaluation, benchmark, report.

Each verb imports what it needs when it runs, so that ``networld dataset list`` does not wait for
torch. Errors a user can mend are one line on standard error and exit status 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tyro
from rich.table import Table

from networld_algos.terminal import console, progress_bar, shown_in

Positional = tyro.conf.Positional
SAVE_EVERY = 200  # updates between checkpoints of `networld train`


def _score_text(mean: float, low: float, high: float) -> str:
    return f"{mean:9.3f}  [{low:.3f}, {high:.3f}]"


def reference(
    task: str,
    policies: tuple[str, ...] = (),
    episodes: int = 200,
    preset: str = "default",
    with_metrics: bool = False,
    record: bool = False,
) -> int:
    """Score a task's reference policies: mean reward per agent and step, 95% interval.

    Args:
        task: cbf, rb or ns.
        policies: Which ones; by default all that can act at the preset.
        episodes: Episodes of each, all policies on the same networks.
        preset: Named parameters of the task.
        with_metrics: Also show the means of the task's metrics (rates, drops, ...).
        record: Write the scores into the package's table (all policies, default preset).
    """
    from networld_envs.policies import get_policy, usable_policies
    from networld_envs.references import measure, record_scores
    from networld_envs.simulator import MAX_CYCLES, make_params

    names = policies or tuple(usable_policies(task, make_params(task, preset)))
    for name in names:
        get_policy(task, name)
    if record and (policies or preset != "default"):
        raise ValueError("--record takes all policies at the default preset")
    batch = 50
    scores = {}
    with progress_bar("steps") as bar:
        total = len(names) * MAX_CYCLES * -(-episodes // batch)
        job = bar.add_task(f"{task} reference policies", total=total)
        for name in names:
            scores[name] = measure(
                task,
                name,
                episodes,
                batch=batch,
                preset=preset,
                on_step=lambda: bar.advance(job),
            )
    table = Table(title=f"{task}: mean reward per agent and step, {episodes} episodes")
    metrics = list(next(iter(scores.values()))["metrics"]) if with_metrics else []
    for heading in ("policy", "role", "mean  [95% interval]", *metrics, "what it does"):
        table.add_column(heading)
    for name, score in scores.items():
        policy = get_policy(task, name)
        text = _score_text(score["mean"], score["low"], score["high"])
        numbers = [f"{score['metrics'][key]:.3g}" for key in metrics]
        table.add_row(name, policy.role, text, *numbers, policy.summary)
    console.print(table)
    if record:
        console.print(f"recorded in {record_scores(task, scores)}")
    return 0


def _train_command(algorithm: str, config_type: type) -> Callable[..., int]:
    """The ``train`` verb of one algorithm; its config's fields become options."""

    def command(
        task: str,
        out: Path,
        dataset: str | None = None,
        episodes: int | None = None,
        updates: int = 2_000,
        seed: int = 0,
        *,
        config: Any,
    ) -> int:
        """Train on a dataset and save a checkpoint.

        Args:
            task: cbf, rb or ns.
            out: Folder of the checkpoint; one that is there already is continued.
            dataset: Minari dataset id; the task's expert data by default.
            episodes: Use only so many episodes.
            updates: Gradient steps in total.
            seed: Of weights, batches and noise.
            config: The algorithm's own options.
        """
        return _train(algorithm, task, out, dataset, episodes, updates, seed, config)

    command.__annotations__["config"] = config_type
    command.__kwdefaults__ = {"config": config_type()}
    return command


def _train(
    algorithm: str,
    task: str,
    out: Path,
    dataset: str | None,
    episodes: int | None,
    updates: int,
    seed: int,
    config: Any,
) -> int:
    import torch

    from networld_algos import make
    from networld_algos.bench import HOLDOUT
    from networld_algos.checkpoint import exists, load, save
    from networld_algos.data import load_episodes
    from networld_algos.train import train
    from networld_envs import store
    from networld_envs.simulator import task_module

    torch.set_num_threads(1)
    task_module(task)
    if updates < 1:
        raise ValueError(f"--updates must be at least 1, got {updates}")
    dataset = dataset or f"networld/{task}/expert-v0"
    if not store.is_local(dataset):
        with progress_bar("episodes") as bar:
            store.obtain(dataset, os.cpu_count() or 1, shown_in(bar, dataset), say=console.print)
    data = load_episodes(dataset, task)
    if episodes is not None:
        if not 1 <= episodes <= len(data):
            raise ValueError(f"--episodes must be in 1 .. {len(data)}, got {episodes}")
        data = data.fraction(episodes / len(data), seed)
    about = {"dataset": dataset, "episodes": len(data), "seed": seed, "total_updates": updates}
    data, heldout = data.split(HOLDOUT, seed)
    done = 0
    if exists(out):
        model, saved = load(out, expect_task=task)
        for key, value in about.items():
            if saved.get(key) != value:
                raise ValueError(
                    f"{out} was started with {key}={saved.get(key)!r}, not {value!r}; "
                    "choose another --out or the same options"
                )
        if model.name != algorithm or model.config != config:
            raise ValueError(f"{out} holds {model.name} with {model.config}; choose another --out")
        done = saved["updates"]
    else:
        model = make(algorithm, [data.spec], config, seed=seed)
        model.prepare(data, updates)
    with progress_bar("updates") as bar:
        job = bar.add_task(f"{algorithm} on {dataset}", total=updates, completed=done)

        def show(update: int, metrics: dict[str, float]) -> None:
            if update % 20 == 0 or update == updates:
                losses = "  ".join(f"{k} {v:.3g}" for k, v in list(metrics.items())[:3])
                bar.update(job, completed=update, description=f"{algorithm}  {losses}")
            if update % SAVE_EVERY == 0 and update < updates:
                save(model, out, {**about, "updates": update})

        train(model, [data], updates, seed, first=done, on_update=show)
    save(model, out, {**about, "updates": updates})
    _print_health(model.health(heldout))
    console.print(f"saved {out}; next: networld evaluate {out}")
    return 0


def _print_health(values: dict[str, float]) -> None:
    """Diagnostics of a model that has some, and what is out of its healthy range."""
    if not values:
        return
    from networld_algos.networld_health import unhealthy

    numbers = "  ".join(f"{name} {value:.3g}" for name, value in values.items())
    console.print(f"health on held-out episodes: {numbers}")
    for problem in unhealthy(values):
        console.print(f"[yellow]unhealthy:[/] {problem}")


def evaluate(
    checkpoint: Positional[Path],
    task: str | None = None,
    episodes: int = 100,
    seed: int = 1_000,
    preset: str = "default",
) -> int:
    """Let a trained model act and compare it with the reference policies.

    Args:
        checkpoint: Folder written by `networld train`.
        task: Which of the model's tasks; not needed when it has one.
        episodes: Episodes, all simulated as one batch.
        seed: Environment seed of the first episode.
        preset: Named parameters of the task.
    """
    import numpy as np
    import torch

    from networld_algos.checkpoint import load
    from networld_algos.rollout import evaluate as run
    from networld_envs.policies import usable_policies
    from networld_envs.references import reference_rewards
    from networld_envs.simulator import MAX_CYCLES, make_params

    torch.set_num_threads(1)
    if episodes < 2:
        raise ValueError(f"--episodes must be at least 2, got {episodes}")
    model, _ = load(checkpoint, expect_task=task)
    if task is None:
        if len(model.specs) > 1:
            raise ValueError(f"choose one of the model's tasks with --task: {sorted(model.specs)}")
        task = next(iter(model.specs))
    seeds = range(seed, seed + episodes)
    rewards = {}
    with progress_bar("policies") as bar:
        names = usable_policies(task, make_params(task, preset))
        job = bar.add_task(f"{model.name} on {task}, {episodes} episodes", total=1 + len(names))
        result = run(model, task, seeds, preset=preset)
        bar.advance(job)
        for name in names:
            rewards[name] = reference_rewards(task, name, seeds, MAX_CYCLES, preset=preset)
            bar.advance(job)
    ends = [float(rewards[name].mean()) for name in ("random", "expert") if name in rewards]
    table = Table(title=f"{task}: average reward per agent and step, {episodes} episodes")
    for heading in ("policy", "mean  [95% interval]", "normalised score"):
        table.add_column(heading)
    for name, values in sorted(
        {model.name: result.episode_rewards, **rewards}.items(), key=lambda item: item[1].mean()
    ):
        half = 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5
        mean = float(values.mean())
        known = len(ends) == 2
        score = f"{100 * (mean - ends[0]) / (ends[1] - ends[0]):.1f}" if known else "no expert here"
        text = _score_text(mean, mean - half, mean + half)
        style = "bold" if name == model.name else None
        table.add_row(name, text, score, style=style)
    console.print(table)
    console.print(
        f"one decision of all {episodes} x {model.specs[task].num_agents} agents: median "
        f"{result.latency_p50_ms:.1f} ms, 99% {result.latency_p99_ms:.1f} ms; "
        f"{result.bytes_per_step:.0f} bytes sent per agent and step"
    )
    return 0


def bench_run(
    suite: Positional[str], jobs: int = 1, results: Path = Path("results"), dry_run: bool = False
) -> int:
    """Run a suite; one that was stopped goes on where it was.

    Args:
        suite: smoke or demo; `networld bench list` shows all.
        jobs: Processes side by side, one thread each.
        results: Folder of the results.
        dry_run: Only print what would be run.
    """
    from networld_algos.bench import suite_paths
    from networld_algos.live import run_with_progress
    from networld_algos.suites import get_suite

    chosen = get_suite(suite)
    if dry_run:
        todo = [run for run in chosen.runs() if not suite_paths(results, chosen).is_done(run)]
        for run in todo:
            console.print(f"{run.cost:7.0f} s  {run.title}")
        seconds = sum(run.cost for run in todo) / max(1, jobs)
        console.print(f"{len(todo)} runs, about {seconds / 60:.0f} min with {jobs} jobs")
        return 0
    outcomes = run_with_progress(chosen, results, jobs)
    failed = [outcome for outcome in outcomes if outcome.error]
    folder = suite_paths(results, chosen).root
    console.print(
        f"{len(outcomes) - len(failed)} runs done, {len(failed)} failed; rows in {folder}"
    )
    for outcome in failed:
        console.print(f"[red]failed[/] {outcome.run.title}: {outcome.error}")
    if not failed:
        console.print(f"next: networld report {folder}")
    return 1 if failed else 0


def bench_list() -> int:
    """List the suites."""
    from networld_algos.suites import SUITES

    table = Table()
    for heading in ("suite", "tasks", "algorithms", "runs"):
        table.add_column(heading)
    for suite in SUITES.values():
        labels = ", ".join(entry.label for entry in suite.entries)
        table.add_row(suite.name, ", ".join(suite.tasks), labels, str(len(suite.runs())))
    console.print(table)
    return 0


def report(results: Positional[Path], out: Path | None = None, title: str = "NetWorld") -> int:
    """Make figures and one self-contained HTML page from result rows.

    Args:
        results: Folder of one suite's rows, e.g. results/demo.
        out: Folder to write to; "report" inside the results by default.
        title: Heading of the page.
    """
    from networld_algos.report import write_report
    from networld_algos.rows import read_failures, read_rows

    rows = read_rows(results)
    if not rows:
        raise ValueError(f"no rows in {results}; `networld bench run SUITE` makes them")
    page = write_report(rows, out or results / "report", title, failures=read_failures(results))
    console.print(f"wrote {page} and figures in {page.parent / 'figures'}")
    return 0


def _group(prog: str, verbs: dict[str, Callable[..., int]], args: Sequence[str]) -> int:
    return tyro.extras.subcommand_cli_from_dict(verbs, prog=prog, args=list(args))


def _cli_dataset(args: Sequence[str]) -> int:
    from networld_algos.cli_dataset import VERBS

    return _group("networld dataset", VERBS, args)


def _cli_train(args: Sequence[str]) -> int:
    from networld_algos import ALGORITHMS

    verbs = {name: _train_command(name, pair[0]) for name, pair in ALGORITHMS.items()}
    return _group("networld train", verbs, args)


COMMANDS: dict[str, tuple[str, Callable[[Sequence[str]], int]]] = {
    "reference": (
        "score the reference policies of a task",
        lambda args: tyro.cli(reference, prog="networld reference", args=args),
    ),
    "dataset": (
        "build, download, check, import and export datasets",
        _cli_dataset,
    ),
    "train": ("train an algorithm on a dataset", _cli_train),
    "evaluate": (
        "let a trained model act",
        lambda args: tyro.cli(evaluate, prog="networld evaluate", args=args),
    ),
    "bench": (
        "run a suite of the benchmark",
        lambda args: _group("networld bench", {"run": bench_run, "list": bench_list}, args),
    ),
    "report": (
        "figures and an HTML page from results",
        lambda args: tyro.cli(report, prog="networld report", args=args),
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``networld`` command; returns the exit status."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        console.print("usage: networld COMMAND ...   (networld COMMAND --help explains one)\n")
        for name, (text, _) in COMMANDS.items():
            console.print(f"  {name:10s} {text}")
        return 0
    if args[0] == "--version":
        import networld_envs

        console.print(networld_envs.__version__)
        return 0
    if args[0] not in COMMANDS:
        print(
            f"networld: unknown command {args[0]!r}; commands: {', '.join(COMMANDS)}",
            file=sys.stderr,
        )
        return 2
    try:
        return COMMANDS[args[0]][1](args[1:])
    except (ValueError, TypeError, OSError, ImportError, FloatingPointError) as error:
        if os.environ.get("NETWORLD_DEBUG"):
            raise
        print(f"networld {args[0]}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("networld: stopped; start it again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
