from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from bids_dtg.dynamics.recovery import recover

PEOPLE, REGIONS = 8, 60
WHOSE = np.repeat(np.arange(PEOPLE), REGIONS)


def posteriors(rng, width=0.2, parameters=2):
    """Draw standard normal parameters and posteriors that know them by `width`, calibrated."""
    truth = rng.standard_normal((len(WHOSE), parameters))
    precision = 1 + 1 / width**2
    data = truth + width * rng.standard_normal(truth.shape)
    mean = data / width**2 / precision
    return truth, mean, np.full_like(mean, precision**-0.5)


def test_each_point_is_projected_by_the_others_regression():
    rng = np.random.default_rng(9)
    truth, mean, sd = posteriors(rng, 0.5)
    recovery = recover(truth[:, 0], mean, sd, WHOSE)
    for person in (0, PEOPLE - 1):
        mine = person == WHOSE
        design = np.column_stack([np.ones((~mine).sum()), mean[~mine]])
        weights = np.linalg.lstsq(design, truth[~mine, 0], rcond=None)[0]
        assert np.allclose(recovery.value[mine], weights[0] + mean[mine] @ weights[1:])
        assert np.allclose(recovery.sd[mine], np.sqrt(sd[mine] ** 2 @ weights[1:] ** 2))
    assert recovery.rho == pytest.approx(
        spearmanr(truth[:, 0], recovery.value).statistic
    )
    low, high = recovery.interval
    held = (low <= truth[:, 0]) & (truth[:, 0] <= high)
    assert held.mean() == pytest.approx(recovery.coverage)
