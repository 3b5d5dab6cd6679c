"""``python -m networld_algos`` is the ``networld`` command; ``torchrun -m`` needs a module."""

import os
import sys

from networld_algos.cli.command import main

if __name__ == "__main__":
    status = main()
    if os.environ.get("WORLD_SIZE", "1") != "1":  # one process of a job that torchrun started
        # On a busy machine, PyTorch's threads of a job sometimes abort a process while it exits
        # ("terminate called without an active exception"). Everything is saved by now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
