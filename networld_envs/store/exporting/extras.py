"""Optional packages, imported when they are needed, with errors that say how to get them."""

from __future__ import annotations

import importlib
from typing import Any


def optional(module: str, what: str, extra: str) -> Any:
    """Import a module of an optional package.

    Args:
        module: Its name, e.g. ``"pyarrow.parquet"``.
        what: What needs it, for the error.
        extra: The extra of this package that installs it.

    Raises:
        ImportError: If it is not installed; names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(f"{what} needs {package}: pip install 'networld[{extra}]'") from error
