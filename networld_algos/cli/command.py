"""The ``networld`` command.

Each command imports what it needs when it runs, so that ``networld dataset list`` does not wait for
torch. An error that the user can fix is one line on standard error, with exit status 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import tyro

from networld_algos.cli import bench, model, reference, render, report, train
from networld_algos.cli.terminal import console


def _group(prog: str, verbs: dict[str, Callable[..., int]], args: Sequence[str]) -> int:
    return tyro.extras.subcommand_cli_from_dict(verbs, prog=prog, args=list(args))


def _cli_dataset(args: Sequence[str]) -> int:
    from networld_algos.cli.dataset import VERBS

    return _group("networld dataset", VERBS, args)


COMMANDS: dict[str, tuple[str, Callable[[Sequence[str]], int]]] = {
    "reference": (
        "score the reference policies of tasks",
        lambda args: tyro.cli(reference.reference, prog="networld reference", args=args),
    ),
    "dataset": (
        "build, download, verify, import and export datasets",
        _cli_dataset,
    ),
    "train": (
        "train an algorithm on a dataset",
        lambda args: train.train(train.parse(args)),
    ),
    "evaluate": (
        "run a trained model and compare it with the reference policies",
        lambda args: tyro.cli(model.evaluate, prog="networld evaluate", args=args),
    ),
    "push": (
        "upload a trained model to the Hugging Face Hub",
        lambda args: tyro.cli(model.push, prog="networld push", args=args),
    ),
    "health": (
        "diagnose a trained model",
        lambda args: tyro.cli(model.health, prog="networld health", args=args),
    ),
    "bench": (
        "run or list the benchmark suites",
        lambda args: _group(
            "networld bench", {"run": bench.bench_run, "list": bench.bench_list}, args
        ),
    ),
    "render": (
        "animate reference policies side by side",
        lambda args: tyro.cli(render.render, prog="networld render", args=args),
    ),
    "report": (
        "make figures and an HTML page from the results of a suite",
        lambda args: tyro.cli(report.report, prog="networld report", args=args),
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``networld`` command; returns the exit status."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        console.print("usage: networld COMMAND ...   (for help: networld COMMAND --help)\n")
        for name, (text, _) in COMMANDS.items():
            console.print(f"  {name:10s} {text}")
        return 0
    if args[0] == "--version":
        from networld_envs.version import __version__

        console.print(__version__)
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
        print("networld: interrupted; run the same command again to resume", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
