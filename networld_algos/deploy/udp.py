"""Messages between stations as UDP datagrams."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable
from typing import Any

from networld_algos.deploy.station import Station

MOST_BYTES = 2**16
MOST_PER_CALL = 10_000
"""Datagrams read at most in one call, so that a flood does not keep a station from deciding."""

Address = tuple[str, int]


class UdpExchange:
    """A socket that sends the messages of a station, and gives it what arrives.

    Args:
        address: Host and port to receive at; port 0 takes a free one.
        peers: Hosts and ports of the stations that have this one among their neighbours. If
            neighbourhood is not mutual, these are not its own neighbours.

    Attributes:
        address: Where it receives.
        peers: As given; can be changed.
    """

    def __init__(self, address: Address = ("127.0.0.1", 0), peers: Iterable[Address] = ()) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.bind(address)
        except OSError as error:
            self._socket.close()
            raise OSError(f"cannot receive at {address[0]} port {address[1]}: {error}") from error
        self.address: Address = self._socket.getsockname()[:2]
        self.peers: list[Address] = list(peers)

    def send(self, outbox: bytes) -> int:
        """Send a message to every peer; returns to how many.

        A peer that cannot be reached is left out, as if its message had been lost. An empty outbox
        is not sent.
        """
        sent = 0
        for peer in self.peers if outbox else ():
            with contextlib.suppress(OSError):
                self._socket.sendto(outbox, peer)
                sent += 1
        return sent

    def receive(self, station: Station, wait_ms: float = 0.0) -> int:
        """Give a station what has arrived; returns the number of datagrams.

        Args:
            station: The receiver.
            wait_ms: Wait at most so long for messages that the decision of this slot needs. Waiting
                ends when all are there, or at the station's deadline.
        """
        until = time.monotonic() + min(wait_ms / 1e3, max(station.time_left_s(), 0.0))
        count = 0
        while count < MOST_PER_CALL:
            left = until - time.monotonic() if station.waits_for else 0.0
            self._socket.settimeout(max(left, 0.0))
            try:
                datagram = self._socket.recv(MOST_BYTES)
            except (TimeoutError, BlockingIOError):
                if left <= 0.0:
                    break
                continue
            except ConnectionError:  # a neighbour's port was closed when we sent to it
                continue
            station.receive(datagram)
            count += 1
        return count

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> UdpExchange:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
