"""``python -m networld_algos`` is the ``networld`` command; ``torchrun -m`` needs a module."""

import sys

from networld_algos.cli.command import main

sys.exit(main())
