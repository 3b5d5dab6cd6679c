"""Messages as bytes: the format, and everything that is not a message."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networld_algos.deploy.wire import (
    MOST_VALUES,
    OVERHEAD,
    MalformedMessageError,
    Message,
    decode,
    encode,
)

MESSAGE = Message(0xDEADBEEF, 3, 2**40, np.array([1.5, -0.0, 1e-40], np.float32))


def test_a_message_comes_back_bit_by_bit():
    back = decode(encode(MESSAGE))
    assert (back.model, back.sender, back.slot) == (0xDEADBEEF, 3, 2**40)
    assert back.values.tobytes() == MESSAGE.values.tobytes()


def test_the_format_is_as_documented():
    data = encode(MESSAGE)
    assert len(data) == OVERHEAD + 12 == 40
    fields = struct.unpack("<2sBBHHIIQ3fI", data)
    assert fields[:8] == (b"NW", 1, 0, 40, 3, 0xDEADBEEF, 3, 2**40)
    assert fields[8] == 1.5
    assert fields[-1] == zlib.crc32(data[:-4])


@given(st.binary(max_size=80))
def test_random_bytes_are_malformed(data):
    with pytest.raises(MalformedMessageError):
        decode(data)


@given(st.integers(0, 39), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at, change):
    data = bytearray(encode(MESSAGE))
    data[at] ^= change
    with pytest.raises(MalformedMessageError):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "at least"),
        (encode(MESSAGE)[:-1], "has 40 bytes"),
        (encode(MESSAGE) + b"\0", "41 arrived"),
        (b"XY" + encode(MESSAGE)[2:], "begins with"),
        (encode(MESSAGE)[:2] + b"\2" + encode(MESSAGE)[3:], "version 1 are read, got 2"),
        (encode(MESSAGE)[:-1] + b"\0", "checksum"),
        (encode(Message(1, 1, 1, np.array([np.nan], np.float32))), "not finite"),
    ],
)
def test_an_error_says_what_is_wrong(data, why):
    with pytest.raises(MalformedMessageError, match=why):
        decode(data)


def test_what_does_not_fit_is_refused():
    for wrong in ({"model": -1}, {"sender": 2**32}, {"slot": 2**64}):
        about = {"model": 1, "sender": 1, "slot": 1, **wrong}
        with pytest.raises(ValueError, match="32 bits"):
            encode(Message(**about, values=np.zeros(1, np.float32)))
    assert len(encode(Message(1, 1, 1, np.zeros(MOST_VALUES, np.float32)))) < 2**16
    with pytest.raises(ValueError, match="at most"):
        encode(Message(1, 1, 1, np.zeros(MOST_VALUES + 1, np.float32)))
