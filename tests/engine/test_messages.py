"""What processes report: not too often, in a form that travels, shown where it belongs."""

from __future__ import annotations

import pickle

from bids_dtg.engine.work import End, Happened, MessageReporter, follow
from bids_dtg.progress import Board


def test_a_stage_is_not_repeated_too_often():
    sent = []
    reporter = MessageReporter(sent.append)
    for share in range(100):
        reporter.stage("reading", share / 100)
    reporter.stage("predicting", 0.0)
    assert 2 <= len(sent) < 20
    assert sent[-1] == Happened("stage", "predicting", 0.0)


def test_an_error_that_cannot_be_pickled_is_reported_by_its_text():
    class LocalError(Exception):
        pass

    try:
        raise LocalError("only here")
    except LocalError as err:
        message = End.by_error("01", err)
    assert str(pickle.loads(pickle.dumps(message)).error) == "LocalError: only here"
    assert "raise LocalError" in message.trace


def test_messages_are_shown_in_their_lanes_and_ends_are_left_to_the_caller(capsys):
    def messages():
        yield 0, Happened("began", "01")
        yield 1, Happened("began", "02")
        yield 0, Happened("stage", "reading", 0.5)
        yield 1, Happened("line", "done")
        yield 1, End("02", 7)
        yield 0, Happened("reader died", "killed")
        yield 0, Happened("note", "by the way")
        yield 0, End("01", error=ValueError("no"))

    board = Board(2, stages=True)
    found = list(follow(messages(), board, lambda label: f"sub-{label}"))
    assert [
        (lane is board.lane(n), end.label) for n, (lane, end) in enumerate(reversed(found))
    ] == [
        (True, "01"),
        (True, "02"),
    ]
    assert [line[9:] for line in capsys.readouterr().err.splitlines()] == [
        "[1/2] sub-01",
        "[2/2] sub-02",
        "[1/2] sub-01: reading",
        "[2/2] sub-02: done",
        "by the way",
    ]
