"""Push the datasets of the catalogue and the pretrained models to the Hugging Face Hub.

    python tools/publish.py hf://ACCOUNT [--dry-run] [--prefix networld] [TASK ...]

It needs the extra ``hub`` and a token (``hf auth login`` or ``HF_TOKEN``). It runs the commands
that ``--dry-run`` prints, one after the other, and stops at the first that fails. Giving it again
is safe: datasets and models on the Hub are replaced by the same ones. A dataset that is not in the
local store is built first. Every dataset is compared with its recorded hash before it is uploaded.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys

from networld_algos.cli.command import main as networld
from networld_algos.training import pretrained
from networld_envs import store
from networld_envs.store.recipes import reserved

HUB = re.compile(r"hf://([\w.-]+)/?")


def commands(account: str, prefix: str, tasks: list[str]) -> list[list[str]]:
    """Arguments of ``networld``, in order."""
    found = []
    for dataset_id, recipe in reserved().items():
        if not tasks or recipe.task in tasks:
            if not store.is_local(dataset_id):
                found.append(["dataset", "build", dataset_id])
            found.append(["dataset", "verify", dataset_id])
            found.append(["dataset", "upload", dataset_id, "--to", f"hf://{account}"])
    for name in pretrained.names():
        if not tasks or name in tasks:
            model = f"{pretrained.SCHEME}{name}"
            found.append(["push", model, f"{account}/{prefix}-{name}"])
    return found


def main(arguments: list[str]) -> int:
    """Run the commands, or print them; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("hub", metavar="hf://ACCOUNT")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="all by default")
    parser.add_argument("--prefix", default="networld", help="models are ACCOUNT/PREFIX-TASK")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    given = parser.parse_intermixed_args(arguments)
    account = HUB.fullmatch(given.hub)
    if account is None:
        parser.error(f"the hub must be hf://ACCOUNT, e.g. hf://my-group, got {given.hub!r}")
    known = sorted({recipe.task for recipe in reserved().values()} | {*pretrained.names()})
    if unknown := [task for task in given.tasks if task not in known]:
        parser.error(f"there is nothing of {', '.join(unknown)}; tasks: {', '.join(known)}")
    for command in commands(account[1], given.prefix, given.tasks):
        print(shlex.join(["networld", *command]), flush=True)
        if not given.dry_run and (status := networld(command)):
            print(f"stopped: this command failed with status {status}", file=sys.stderr)
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
