"""The limits of a run's figures."""

from __future__ import annotations

import pytest

from bids_dtg.connectome.checks import LIMITS, Limit


@pytest.mark.parametrize("figure", LIMITS)
def test_every_limit_orders_its_steps(figure):
    limit = LIMITS[figure]
    worse = -1e-3 if limit.low_is_bad else 1e-3
    values = (limit.unusual - worse, limit.unusual + worse, limit.outside + worse)
    assert [limit.steps(value) for value in values] == [0, 1, 2]


def test_a_value_at_the_limit_is_beyond_it_only_where_that_is_asked_for():
    limit = Limit(0.8, 0.5, low_is_bad=True)
    assert [limit.steps(value) for value in (0.8, 0.5)] == [0, 1]
    assert [limit.steps(value, included=True) for value in (0.8, 0.5)] == [1, 2]
    assert limit.steps(float("nan"), included=True) == 0
