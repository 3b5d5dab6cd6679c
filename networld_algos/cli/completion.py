"""``networld completion``: completion of commands and options in a shell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union

import tyro
from tyro.conf import Positional

from networld_algos.cli import bench, deploy, drift, model, reference, render, report, train, tune


def completion(shell: Positional[Literal["bash", "zsh", "tcsh"]]) -> int:
    """Print the completion of all commands and their options for a shell.

    For bash, write it to ~/.local/share/bash-completion/completions/networld; for zsh, to a file
    _networld in a folder of $fpath. New shells then complete with the Tab key.

    Args:
        shell: The shell.
    """
    tyro.extras.subcommand_cli_from_dict(
        commands(),
        prog="networld",
        args=["--tyro-print-completion", shell],
        config=(tyro.conf.OmitSubcommandPrefixes,),
    )
    return 0


def commands() -> dict[str, Callable[..., Any]]:
    """Every command as tyro knows it; a group is one function of a union of its commands."""
    from networld_algos.cli import dataset

    return {
        "reference": reference.reference,
        "dataset": _group(dataset.VERBS),
        "train": _taking(_trainings()),
        "tune": tune.tune,
        "evaluate": model.evaluate,
        "push": model.push,
        "health": model.health,
        "act": deploy.act,
        "export": deploy.export,
        "drift": drift.drift,
        "bench": _group(bench.VERBS),
        "render": render.render,
        "report": report.report,
        "completion": completion,
    }


def _group(verbs: Mapping[str, Callable[..., int]]) -> Callable[..., Any]:
    kinds = [
        Annotated[Any, tyro.conf.subcommand(name=name, constructor=verb)]
        for name, verb in verbs.items()
    ]
    return _taking(Union[tuple(kinds)])  # noqa: UP007


def _taking(kind: Any) -> Callable[..., Any]:
    def command(chosen: Any) -> Any:
        return chosen

    command.__annotations__["chosen"] = Annotated[kind, tyro.conf.arg(name="")]
    return command


def _trainings() -> Any:
    """The options of every built-in algorithm, as a union of subcommands."""
    from networld_algos.registry import ALGORITHMS, BUILT_IN, make_config

    found = []
    for name in BUILT_IN:
        config = make_config(name)
        default = train.TrainOptions(name, tyro.MISSING, tyro.MISSING, config=config)
        about = train.title(ALGORITHMS[name][1])
        subcommand = tyro.conf.subcommand(
            name, default=default, description=about, prefix_name=False
        )
        found.append(Annotated[train.TrainOptions[type(config)], subcommand])
    return Union[tuple(found)]  # noqa: UP007
