"""The ``networld`` command.

Each command imports what it needs when it runs, so that ``networld dataset list`` does not wait for
torch. An error that the user can fix is one line on standard error, with exit status 2. The option
``--traceback``, anywhere on the line, also shows where the error was raised and what caused it.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence

import tyro

from networld_algos.cli import (
    bench,
    completion,
    deploy,
    drift,
    model,
    reference,
    render,
    report,
    train,
    tune,
)
from networld_algos.cli.signals import exit_status, sigterm_interrupts
from networld_algos.cli.terminal import console, say_error
from networld_algos.results.text import suggestion


def _group(prog: str, verbs: Mapping[str, Callable[..., int]], args: Sequence[str]) -> int:
    word = args[0] if args else ""
    if word and not word.startswith("-") and word not in verbs:
        raise ValueError(
            f"unknown command {word!r}{suggestion(word, verbs)}\n"
            f"commands of {prog}: {', '.join(verbs)}"
        )
    return tyro.extras.subcommand_cli_from_dict(dict(verbs), prog=prog, args=list(args))


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
    "tune": (
        "search the settings of an algorithm, or of a suite's algorithms",
        lambda args: tyro.cli(tune.tune, prog="networld tune", args=args),
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
    "act": (
        "let a trained model decide for a program in any language, by JSON lines",
        lambda args: tyro.cli(deploy.act, prog="networld act", args=args),
    ),
    "export": (
        "export one station of a trained model to ONNX",
        lambda args: tyro.cli(deploy.export, prog="networld export", args=args),
    ),
    "drift": (
        "compare logs of a deployed model with its training data",
        lambda args: tyro.cli(drift.drift, prog="networld drift", args=args),
    ),
    "bench": (
        "run, list, pack or unpack the benchmark suites, or check a submission",
        lambda args: _group("networld bench", bench.VERBS, args),
    ),
    "render": (
        "animate reference policies side by side",
        lambda args: tyro.cli(render.render, prog="networld render", args=args),
    ),
    "report": (
        "make figures and an HTML page from the results of a suite",
        lambda args: tyro.cli(report.report, prog="networld report", args=args),
    ),
    "completion": (
        "print the completion of all commands and options for a shell",
        lambda args: tyro.cli(completion.completion, prog="networld completion", args=args),
    ),
}

TRACEBACK = "--traceback"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``networld`` command; returns the exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    args = [word for word in given if word != TRACEBACK]
    show_traceback = len(args) < len(given)
    if not args or args[0] in ("-h", "--help"):
        console.print("usage: networld COMMAND ...   (for help: networld COMMAND --help)\n")
        for name, (text, _) in COMMANDS.items():
            console.print(f"  {name:10s} {text}")
        console.print(f"\n  {TRACEBACK}  with any command: show where an error was raised")
        return 0
    if args[0] == "--version":
        from networld_envs.version import __version__

        console.print(__version__)
        return 0
    if args[0] not in COMMANDS:
        near = suggestion(args[0], COMMANDS)
        say_error(f"networld: unknown command {args[0]!r}{near}\ncommands: {', '.join(COMMANDS)}")
        return 2
    try:
        with sigterm_interrupts():
            return COMMANDS[args[0]][1](args[1:])
    except BrokenPipeError:
        # What reads the output, such as `head`, has seen enough; nor can Python's exit write more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # as a process that SIGPIPE ends
    except (ValueError, TypeError, OSError, ImportError, FloatingPointError) as error:
        if show_traceback:
            traceback.print_exc()
        say_error(f"networld {args[0]}: {_words(error)}")
        return 2
    except KeyboardInterrupt as stop:
        say_error("networld: interrupted; run the same command again to resume")
        return exit_status(stop)


def _words(error: Exception) -> str:
    """What an error says; an error of the operating system by its file and cause."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        # The second file of a rename is the one that a user knows.
        return f"{os.fsdecode(error.filename2 or error.filename)}: {error.strerror}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
