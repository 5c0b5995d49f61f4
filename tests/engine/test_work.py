"""Which unit of work comes next: order, putting back, waiting."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bids_dtg.engine.work import Backlog


def test_again_later_and_others_before():
    now, seconds = [0.0], {"a": 5.0}
    backlog = Backlog("ab", lambda: now[0], lambda label: seconds.pop(label, 0.0))
    assert backlog.take() == "b"
    assert backlog.take() is None
    assert len(backlog) == 1
    now[0] = 3.0
    assert backlog.seconds_to_next == 2.0
    now[0] = 6.0
    assert backlog.seconds_to_next == 0.0
    assert backlog.take() == "a"


class NobodyIsLostOrDoubled(RuleBasedStateMachine):
    @initialize(count=st.integers(0, 5))
    def begin(self, count):
        self.now, self.everybody = 0.0, {str(n) for n in range(count)}
        self.held = dict.fromkeys(self.everybody, 0.0)
        self.backlog = Backlog(sorted(self.everybody), lambda: self.now, self.hold_up)
        self.out: list[str] = []

    def hold_up(self, label):
        return max(0.0, self.held[label] - self.now)

    @rule()
    def take(self):
        label = self.backlog.take()
        if label is not None:
            assert self.held[label] <= self.now
            assert label not in self.out
            self.out.append(label)

    @rule(seconds=st.sampled_from([0.0, 2.0, 10.0]), label=st.integers(0, 4))
    def hold(self, seconds, label):
        self.held[str(label)] = self.now + seconds

    @rule()
    def put_back(self):
        if self.out:
            label = self.out.pop()
            self.held[label] = self.now
            self.backlog.put_back(label)
            assert self.backlog.take() == label
            self.backlog.put_back(label)

    @rule(seconds=st.sampled_from([1.0, 5.0]))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def everybody_is_somewhere(self):
        assert len(self.backlog) + len(self.out) == len(self.everybody)


TestNobodyIsLostOrDoubled = pytest.mark.slow(NobodyIsLostOrDoubled.TestCase)
