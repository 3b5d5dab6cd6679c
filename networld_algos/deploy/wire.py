"""A message between stations as bytes, for example one UDP datagram.

Little endian, 28 bytes besides the values::

    magic     2 bytes   "NW"
    version   1 byte    1
    spare     1 byte    0
    length    2 bytes   of the whole message
    width     2 bytes   number of values
    model     4 bytes   which weights, and which of their tasks, the values belong to
    sender    4 bytes   number of the station that sent it
    slot      8 bytes   time slot that it was sent in
    values    4 bytes   each, float32
    checksum  4 bytes   CRC-32 of all that precedes

The checksum finds damage. It does not prove who sent a message: a network that strangers can reach
needs protection of its own, such as IPsec or DTLS.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAGIC = b"NW"
VERSION = 1
HEADER = struct.Struct("<2sBBHHIIQ")
CHECKSUM = struct.Struct("<I")
OVERHEAD = HEADER.size + CHECKSUM.size
"""Bytes of a message besides its values."""
MOST_VALUES = (2**16 - 1 - OVERHEAD) // 4
"""Most values of a message: the length has two bytes, and so has that of a datagram."""


class MalformedMessageError(ValueError):
    """Bytes are not a message; the text says why."""


@dataclass(frozen=True)
class Message:
    """What one station tells its neighbours in one slot.

    Attributes:
        model: Identifies weights and task; stations understand only messages of their own model.
        sender: Number of the sending station.
        slot: Time slot that it was sent in.
        values: ``(M,)`` float32.
    """

    model: int
    sender: int
    slot: int
    values: NDArray[np.float32]


def encode(message: Message) -> bytes:
    """The bytes of a message.

    Raises:
        ValueError: If a number does not fit into its field, or there are too many values.
    """
    values = np.ascontiguousarray(message.values, dtype="<f4")
    if values.ndim != 1 or len(values) > MOST_VALUES:
        raise ValueError(
            f"a message has one row of at most {MOST_VALUES} values, got shape {values.shape}"
        )
    length = OVERHEAD + values.nbytes
    about = (message.model, message.sender, message.slot)
    try:
        header = HEADER.pack(MAGIC, VERSION, 0, length, len(values), *about)
    except struct.error as error:
        raise ValueError(
            f"model and sender have 32 bits and slot has 64, none is negative; got {about}"
        ) from error
    content = header + values.tobytes()
    return content + CHECKSUM.pack(zlib.crc32(content))


def decode(data: bytes) -> Message:
    """The message that `encode` turned into ``data``.

    Raises:
        MalformedMessageError: If ``data`` is anything else: of another format or version, cut,
            too long, damaged, or with values that are not finite.
    """
    data = bytes(data)
    if len(data) < OVERHEAD:
        raise MalformedMessageError(f"a message has at least {OVERHEAD} bytes, got {len(data)}")
    magic, version, _, length, width, model, sender, slot = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise MalformedMessageError(f"a message begins with {MAGIC!r}, got {magic!r}")
    if version != VERSION:
        raise MalformedMessageError(f"messages of version {VERSION} are read, got {version}")
    if not length == len(data) == OVERHEAD + 4 * width:
        raise MalformedMessageError(
            f"a message of {width} values has {OVERHEAD + 4 * width} bytes; its length field says "
            f"{length}, and {len(data)} arrived"
        )
    if CHECKSUM.unpack_from(data, len(data) - CHECKSUM.size)[0] != zlib.crc32(data[:-4]):
        raise MalformedMessageError("the checksum does not fit: bytes were changed on the way")
    values = np.frombuffer(data, "<f4", width, HEADER.size).astype(np.float32)
    if not np.isfinite(values).all():
        raise MalformedMessageError("a value is not finite")
    return Message(model, sender, slot, values)
