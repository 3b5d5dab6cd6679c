"""One search for the settings of every algorithm: `networld tune`, choices as files.

`networld_algos.training.tuning.search` needs Optuna, the extra ``tune``; reading choices does not.
"""

from networld_algos.training.tuning.choices import read_choices, settings_on
from networld_algos.training.tuning.subject import Options, Subject

__all__ = ["Options", "Subject", "read_choices", "settings_on"]
