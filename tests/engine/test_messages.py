"""What processes report: not too often, as objects that can be sent, shown at the right place."""

from __future__ import annotations

import pickle

from bids_dtg.engine.work import Happened, MessageReporter, do_unit


def test_a_stage_is_not_repeated_too_often(monkeypatch):
    monkeypatch.setattr("bids_dtg.engine.work._STAGE_SECONDS", 1e9)
    sent = []
    reporter = MessageReporter(sent.append)
    for share in range(100):
        reporter.stage("reading", share / 100)
    reporter.stage("predicting", 0.0)
    assert sent == [Happened("stage", name, 0.0) for name in ("reading", "predicting")]


def test_an_error_that_cannot_be_pickled_is_reported_by_its_text():
    class LocalError(Exception):
        pass

    def fail() -> None:
        raise LocalError("only here")

    sent = []
    do_unit("01", fail, sent.append)
    began, end = pickle.loads(pickle.dumps(sent))
    assert began == Happened("began", "01")
    assert str(end.error) == "LocalError: only here"
