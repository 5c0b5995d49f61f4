from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from multiprocessing import Pipe

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.engine.ahead import receive_value, send_value


@dataclass
class Sent:
    title: str
    values: list[np.ndarray]


def through(*values: object) -> list[object]:
    receiver, sender = Pipe(duplex=False)

    def send() -> None:
        for value in values:
            send_value(sender, value)

    thread = threading.Thread(target=send)
    thread.start()
    received = [receive_value(receiver) for _ in values]
    thread.join()
    return received


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 1000, 2**18, 300_000]), max_size=4),
    order=st.sampled_from("CF"),
    dtype=st.sampled_from(["f4", ">i2", "f8"]),
)
def test_arrays_of_all_sizes_arrive_as_they_were_and_may_be_changed(
    sizes, order, dtype
):
    rng = np.random.default_rng(0)
    arrays = [
        np.asarray(rng.integers(0, 99, (size, 3)).astype(dtype), order=order)
        for size in sizes
    ]
    first, last = through(Sent("first", arrays), "last")
    assert (first.title, last) == ("first", "last")
    for received, wanted in zip(first.values, arrays, strict=True):
        assert (received.dtype, received.flags.writeable) == (wanted.dtype, True)
        np.testing.assert_array_equal(received, wanted)


def test_an_end_in_the_middle_of_an_array_is_an_end():
    receiver, sender = Pipe(duplex=False)
    sender.send([10])
    sender.send_bytes(b"")
    os.write(sender.fileno(), b"12")
    sender.close()
    with pytest.raises((EOFError, OSError)):
        receive_value(receiver)


def test_nobody_who_listens_is_an_error():
    receiver, sender = Pipe(duplex=False)
    receiver.close()
    with pytest.raises(BrokenPipeError):
        send_value(sender, np.zeros(1_000_000))
