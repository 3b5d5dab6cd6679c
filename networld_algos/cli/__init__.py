"""The ``networld`` command, one module per verb or group of verbs."""
