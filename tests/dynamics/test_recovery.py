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


@pytest.mark.parametrize("width", [0.1, 0.5, 1.0])
def test_intervals_of_true_posteriors_hold_nine_in_ten(width):
    rng = np.random.default_rng(0)
    held = []
    for _ in range(8):
        truth, mean, sd = posteriors(rng, width)
        # Projected by the regression on means, which are shrunk as the posteriors are.
        held.append(recover(3 * truth[:, 0] - 1, mean, sd, WHOSE).coverage)
    assert np.mean(held) == pytest.approx(0.9, abs=0.03)


def test_each_point_is_projected_by_the_others_regression():
    rng = np.random.default_rng(9)
    truth, mean, sd = posteriors(rng, 0.5)
    found = recover(truth[:, 0], mean, sd, WHOSE)
    for person in (0, PEOPLE - 1):
        mine = person == WHOSE
        design = np.column_stack([np.ones((~mine).sum()), mean[~mine]])
        weights = np.linalg.lstsq(design, truth[~mine, 0], rcond=None)[0]
        assert np.allclose(found.value[mine], weights[0] + mean[mine] @ weights[1:])
        assert np.allclose(found.sd[mine], np.sqrt(sd[mine] ** 2 @ weights[1:] ** 2))
    assert found.rho == pytest.approx(spearmanr(truth[:, 0], found.value).statistic)
    low, high = found.interval
    held = (low <= truth[:, 0]) & (truth[:, 0] <= high)
    assert held.mean() == pytest.approx(found.coverage)
