"""``python -m networld_algos`` is the ``networld`` command; ``torchrun -m`` needs a module."""

import sys

from networld_algos.cli import main

sys.exit(main())
