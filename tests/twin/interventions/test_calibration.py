"""The calibration slope of predicted changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.twin.interventions.calibration import FEWEST_PEOPLE, Calibration
from bids_dtg.twin.interventions.perturbations import Direction


@pytest.mark.slow
@given(slope=st.floats(-3, 3), seed=st.integers(0, 99))
def test_a_change_is_multiplied_by_the_slope(slope, seed):
    rng = np.random.default_rng(seed)
    predicted = rng.normal(0.8, 0.03, 200)
    observed = 0.3 + slope * predicted + rng.normal(0.0, 0.01, 200)
    found = Calibration.of(predicted, observed, seed=seed)
    assert found.slope == pytest.approx(np.polyfit(predicted, observed, 1)[0])
    value, low, high = found.interval(-0.05)
    assert value == pytest.approx(-0.05 * found.slope)
    assert low <= value <= high
    assert low - 0.005 < -0.05 * slope < high + 0.005
    assert found.people == 200


def test_few_people_or_a_figure_that_does_not_differ_give_no_slope():
    values = np.linspace(0.5, 0.9, FEWEST_PEOPLE)
    assert Calibration.of(values, values) is not None
    assert Calibration.of(values[1:], values[1:]) is None
    assert Calibration.of(np.where(values > 0.85, np.nan, values), values) is None
    assert Calibration.of(np.ones(20), np.arange(20.0)) is None


@pytest.mark.slow
def test_a_calibrated_change_between_people_is_what_a_linear_world_truly_changes():
    # Whatever the twin's weights are: too small, too large, and mostly noise.
    rng = np.random.default_rng(0)
    cause = rng.normal(size=60) * (np.arange(60) < 5)
    connectomes = rng.normal(size=(4000, 60)) * rng.uniform(0.5, 2.0, 60)
    observed = connectomes @ cause + rng.normal(0.0, 1.0, 4000)
    for weights in (0.2 * cause + 0.1 * rng.normal(size=60), 3 * cause + rng.normal(size=60)):
        predicted = connectomes @ weights
        delta = Direction.between(connectomes, predicted).delta(-1.0)
        change, low, high = Calibration.of(predicted, observed).interval(float(weights @ delta))
        assert change == pytest.approx(cause @ delta, rel=0.1)
        assert low < change < high
        assert abs(weights @ delta / (cause @ delta) - 1) > 0.3  # without it
