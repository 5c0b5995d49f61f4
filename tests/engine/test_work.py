"""Who is handed out when: order, putting back, trying again later."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bids_dtg.engine.work import Backlog


def test_order_and_return():
    backlog = Backlog("abc")
    assert [backlog.take(), backlog.take()] == ["a", "b"]
    backlog.put_back("b")
    assert [backlog.take() for _ in range(3)] == ["b", "c", None]
    assert not backlog
    assert backlog.seconds_to_next is None


def test_again_later_and_others_before():
    now = [0.0]
    backlog = Backlog("ab", clock=lambda: now[0])
    assert backlog.take() == "a"
    backlog.retry("a", 5)
    assert len(backlog) == 2
    assert backlog.take() == "b"
    assert backlog.take() is None
    now[0] = 3.0
    assert backlog.seconds_to_next == 2.0
    now[0] = 6.0
    assert backlog.seconds_to_next == 0.0
    assert backlog.take() == "a"


class NobodyIsLostOrDoubled(RuleBasedStateMachine):
    @initialize(count=st.integers(0, 5))
    def begin(self, count):
        self.now, self.everybody = 0.0, {str(n) for n in range(count)}
        self.backlog = Backlog(sorted(self.everybody), clock=lambda: self.now)
        self.out: list[str] = []
        self.due: dict[str, float] = {}

    @rule()
    def take(self):
        waiting = self.backlog.seconds_to_next
        label = self.backlog.take()
        assert (label is not None) == (waiting == 0.0)
        if label is not None:
            assert self.due.pop(label, 0.0) <= self.now
            assert label not in self.out
            self.out.append(label)

    @rule(seconds=st.sampled_from([0.0, 2.0, 10.0]))
    def retry(self, seconds):
        if self.out:
            label = self.out.pop()
            self.due[label] = self.now + seconds
            self.backlog.retry(label, seconds)

    @rule()
    def put_back(self):
        if self.out:
            label = self.out.pop()
            self.backlog.put_back(label)
            assert self.backlog.take() == label
            self.backlog.put_back(label)

    @rule(seconds=st.sampled_from([1.0, 5.0]))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def everybody_is_somewhere(self):
        assert len(self.backlog) + len(self.out) == len(self.everybody)


TestNobodyIsLostOrDoubled = NobodyIsLostOrDoubled.TestCase
