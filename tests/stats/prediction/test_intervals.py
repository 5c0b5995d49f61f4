"""Intervals of scores and corrected p-values, against scipy and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata
from sklearn.metrics import roc_auc_score

from bids_dtg.stats.prediction.intervals import corrected_p, score_interval
from bids_dtg.stats.prediction.phenotypes import Target


def test_the_interval_of_r_is_scipys():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(60)
    y = 0.5 * x + rng.standard_normal(60)
    wanted = pearsonr(x, y).confidence_interval()
    found = score_interval(Target.numbers(y), pearsonr(x, y).statistic, 60)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-6)


def test_relatives_widen_it():
    target = Target.numbers(np.arange(60.0))
    wide, narrow = score_interval(target, 0.4, 30), score_interval(target, 0.4, 60)
    assert wide.low < narrow.low < 0.4 < narrow.high < wide.high


@pytest.mark.slow
def test_the_interval_of_an_auc_holds_the_true_one_as_often_as_it_says():
    rng, inside = np.random.default_rng(1), []
    target = Target.two_levels(["a"] * 40 + ["b"] * 30)
    for _ in range(150):
        decision = np.concatenate([rng.standard_normal(40), 1 + rng.standard_normal(30)])
        found = score_interval(target, roc_auc_score(target.values > 0, decision), 70)
        inside.append(found.low <= 0.7602 <= found.high)  # the normal distribution at 1 / sqrt(2)
    assert 0.9 < np.mean(inside) < 0.99


def test_too_few_families_have_no_interval():
    found = score_interval(Target.numbers(np.arange(8.0)), 0.4, 4)
    assert found.mean == 0.4
    assert np.isnan([found.low, found.high]).all()


def test_corrected_p_is_benjamini_and_hochbergs_of_those_that_are_known():
    p = np.array([0.001, 0.2, 0.04, 0.03])
    raw = p * len(p) / rankdata(p)
    wanted = [min(raw[p >= own]) for own in p]
    found = corrected_p([*p, float("nan")])
    assert found[:-1] == pytest.approx(wanted)
    assert np.isnan(found[-1])
    assert np.isnan(corrected_p([float("nan")])).all()
