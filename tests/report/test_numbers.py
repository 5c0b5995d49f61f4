from __future__ import annotations

from bids_dtg.report.numbers import figure


def test_no_figure_has_a_sign_before_zero():
    assert [figure(x) for x in (-0.0001, 0.0001, -0.0006)] == ["0.000", "0.000", "\u22120.001"]


def test_numbers_without_bounds_have_few_digits():
    assert [figure(x) for x in (6491928499999.996, -1e9)] == ["6.49e+12", "\u22121.00e+09"]
    assert figure(999_999_999, 0) == "999,999,999"
