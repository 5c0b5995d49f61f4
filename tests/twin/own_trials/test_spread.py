"""A person's own spread."""

import numpy as np
import pytest
from own_trials_people import TASK, simulated, with_times

from bids_dtg.twin.own_trials import ROWS
from bids_dtg.twin.own_trials.curves import Shape

SPREAD = [row for row in ROWS if row.name in ("shifted_scale", "person_effects")]


def variable(people):
    """Return people of which every second varies three times as much, about the same levels."""
    rng = np.random.default_rng(0)
    level = np.nanmean(np.log(people.answers.rt_seconds), axis=0)
    factor = np.where(np.arange(people.people) % 2, 0.3, 0.1)[:, None]
    return with_times(people, np.exp(level + factor * rng.standard_normal(people.own.shape)))


def widths(predicted):
    """Return the time between the tenth and the ninetieth percentile, (people,), a mean."""
    given = predicted.answered / predicted.answered[..., -1:]
    inside = (given > 0.1) & (given < 0.9)
    return inside.sum(axis=-1)[:, -20:].mean(axis=1)


@pytest.mark.parametrize("row", SPREAD, ids=lambda row: row.name)
def test_people_who_vary_more_are_predicted_to(row):
    found = widths(
        row.fit(variable(simulated(60, own=20)), TASK).predict(
            variable(simulated(20, own=20, seed=1))
        )
    )
    assert found[1::2].min() > 1.5 * found[::2].max()


@pytest.mark.parametrize("row", SPREAD, ids=lambda row: row.name)
def test_shares_below_predicted_quantiles_are_as_predicted(row):
    training, unseen = simulated(200, 60, own=20), simulated(100, 60, own=20, seed=1)
    found, rest = row.fit(training, TASK).predict(unseen), unseen.rest.rt_seconds
    given = found.answered / found.answered[..., -1:]
    person, trial = np.nonzero(np.isfinite(rest))
    at = np.array(
        [
            np.interp(rest[p, t], found.seconds, given[p, t])
            for p, t in zip(person, trial, strict=True)
        ]
    )
    shares = [(at < level).mean() for level in (0.1, 0.25, 0.5, 0.75, 0.9)]
    assert shares == pytest.approx([0.1, 0.25, 0.5, 0.75, 0.9], abs=0.05)


def test_a_shape_is_the_distribution_of_its_values():
    values = np.random.default_rng(0).standard_normal(5000)
    shape = Shape.smooth(values)
    wanted = [(values < at).mean() for at in (-1.0, 0.0, 1.0)]
    assert shape.at(np.array([-1.0, 0.0, 1.0])) == pytest.approx(wanted, abs=0.01)
    assert shape.at(np.array([-99.0, 99.0])).tolist() == [0.0, 1.0]
