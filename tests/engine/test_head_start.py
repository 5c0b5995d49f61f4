"""Work that is begun before the imports, and is taken or left."""

from __future__ import annotations

import pytest

from bids_dtg.engine.head_start import HeadStart, begun, head_start
from bids_dtg.engine.machine import available_cores

pytestmark = pytest.mark.skipif(available_cores() < 2, reason="one core: nothing is begun")


def count(start: HeadStart) -> None:
    start.describe({"what": "numbers"})
    for number in range(3):
        if number:
            start.wait_for_room()
        start.room[0] = 10 + number
        start.give(number)


def test_pieces_come_in_order_and_the_end_is_seen():
    with head_start(count):
        start = begun()
        assert start.claim(lambda facts: facts == {"what": "numbers"}) == {"what": "numbers"}
        found = []
        for _ in range(3):
            found.append((start.receive(), start.room[0]))
            start.use_up()
        assert found == [(0, 10), (1, 11), (2, 12)]
        with pytest.raises(EOFError):
            start.receive()
    assert begun() is None


def test_it_is_taken_once_and_only_where_it_suits():
    with head_start(count):
        start = begun()
        assert start.claim(lambda facts: False) is None
        assert start.claim(lambda facts: True) is not None
        assert start.claim(lambda facts: True) is None


@pytest.mark.parametrize("facts", [None, {"path": "x" * 5000}])
def test_work_that_fails_is_left_to_others(facts, capfd):
    def fail(start: HeadStart) -> None:
        if facts is not None:
            start.describe(facts)
        raise RuntimeError

    with head_start(fail):
        assert begun().claim(lambda facts: True) is None
    assert capfd.readouterr() == ("", "")


def test_memory_is_given_back():
    def fill(start: HeadStart) -> None:
        start.room[-1] = 1
        start.describe({})
        start.give(1)

    with head_start(fill):
        start = begun()
        start.claim(lambda facts: True)
        start.receive()
        assert start.room[-1] == 1
        start.free()
        assert start.room[-1] == 0
