from __future__ import annotations

from bids_dtg.report.numbers import figure


def test_no_figure_has_a_sign_before_zero():
    assert [figure(x) for x in (-0.0001, 0.0001, -0.0006)] == ["0.000", "0.000", "\u22120.001"]
