"""Decisions for programs in other languages: JSON lines in, JSON lines out.

The first line that is written describes the model. Then every line that is read gets one line as
its answer. A whole network (`serve_network`)::

    {"observations": [[...], ...], "neighbours": [[...], ...]}   ->  {"actions": [...]}
    {"reset": true}                                              ->  {"reset": true}

``neighbours`` may be left out while they stay the same. One station (`serve_station`), whose
messages are base64::

    {"observation": [...], "inbox": ["...", ...]}   ->  {"action": ..., "outbox": "...", ...}

With ``message_delay=0`` the two halves are lines of their own::

    {"observation": [...]}   ->  {"outbox": "..."}
    {"inbox": ["...", ...]}  ->  {"action": ..., "fell_back": ""}

``slot`` may stand beside ``observation`` and ``reset``. A line that cannot be used gets ``{"error":
"..."}`` as its answer. It changes nothing, except that a ``reset`` in it counts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from networld_algos.deploy.interface import Interface
from networld_algos.deploy.station import Station

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def serve(about: Interface, answer: Answer, lines: Iterable[str], out: TextIO) -> None:
    """Answer every line until the input ends.

    Args:
        about: The model, for the first line.
        answer: From a request to the answer; what it raises as `ValueError` becomes an error.
        lines: Requests. Empty lines are skipped.
        out: Where to write; every line is flushed.
    """

    def say(values: dict[str, Any]) -> None:
        out.write(json.dumps(values) + "\n")
        out.flush()

    say({"ready": about.to_dict()})
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError(f"a line holds a JSON object, got {type(request).__name__}")
            say(answer(request))
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            say({"error": f"line {number}: {error}"})


def _only(request: dict[str, Any], *known: str) -> None:
    if unknown := sorted(set(request) - set(known)):
        raise ValueError(f"unknown key {unknown[0]!r}; known keys: {', '.join(known)}")


def serve_network(policy: Any, lines: Iterable[str], out: TextIO) -> None:
    """Decide for a whole network.

    Args:
        policy: A `networld_algos.deploy.Policy`.
        lines: Requests.
        out: Where to write.
    """
    table: Any = None

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal table
        _only(request, "observations", "neighbours", "reset")
        if request.get("reset"):
            policy.reset()
            if "observations" not in request:
                return {"reset": True}
        if "observations" not in request:
            raise ValueError("a request needs observations, or reset")
        given = request.get("neighbours", table)
        if given is None:
            raise ValueError("the first request needs neighbours")
        actions = policy.act(request["observations"], given)
        table = given
        return {"actions": actions.tolist()}

    serve(policy.interface, answer, lines, out)


def serve_station(station: Station, lines: Iterable[str], out: TextIO) -> None:
    """Decide for one station.

    Args:
        station: The station.
        lines: Requests.
        out: Where to write.
    """

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        _only(request, "observation", "inbox", "slot", "reset")
        inbox = request.get("inbox")
        if inbox is not None and not (
            isinstance(inbox, list) and all(isinstance(text, str) for text in inbox)
        ):
            raise ValueError("inbox must be a list of texts in base64")
        result: dict[str, Any] = {}
        if request.get("reset"):
            station.reset(int(request.get("slot", 0)))
            result["reset"] = True
        if "observation" in request:
            if inbox is not None and not station.message_delay:
                needs = station.interface.message_width
                if needs:
                    raise ValueError(
                        "with message_delay 0, observation and inbox are two lines: neighbours "
                        "send the messages of this slot after they have observed"
                    )
            slot = None if request.get("reset") else request.get("slot")
            outbox = station.observe(request["observation"], slot)
            result["outbox"] = base64.b64encode(outbox).decode("ascii")
        if inbox is not None:
            action = station.decide(_bytes(text) for text in inbox)
            result |= {"action": action.tolist(), "fell_back": station.fell_back}
        if not result:
            raise ValueError("a request needs observation, inbox or reset")
        return result

    serve(station.interface, answer, lines, out)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # also of letters that base64 does not have
        return b""  # counted as malformed
