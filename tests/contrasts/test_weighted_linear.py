"""The weighted linear model, against one that was written from docs/linear.md alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.people import Person
from bids_dtg.contrasts.weighted_linear import WeightedLinear, fit_weighted, shrinkage

SETS, PLACES, CONTRASTS = (3, 5), 60, 4
MINUTES = 14.0


def simulated(people: int = 8, seed: int = 0, noise: float = 0.4) -> list[Person]:
    """Make people whose maps follow from their connectomes, and whose sizes differ."""
    rng = np.random.default_rng(seed)
    group, weights = rng.normal(size=(8, PLACES)), rng.normal(size=(CONTRASTS, 8))
    made = []
    for number in range(people):
        own = (group + 0.5 * rng.normal(size=group.shape)) * rng.uniform(0.7, 1.3)
        maps = weights @ own + noise * rng.normal(size=(CONTRASTS, PLACES))
        shorter = own + 0.3 + 0.4 * rng.normal(size=own.shape)
        made.append(
            Person(
                label=f"{number:02d}",
                connectomes=own[None].astype(np.float16),
                weights=(840.0,),
                sessions=(maps.astype(np.float32),),
                form=Form("partial", fixed=0.06, sets=SETS),
                minutes=MINUTES,
                shorter={3.0: standard(shorter).astype(np.float16)},
            )
        )
    return made


def standard(rows: np.ndarray) -> np.ndarray:
    """Standardise rows over places."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    return rows / rows.std(axis=1, keepdims=True)


def connectome_of(person: Person) -> np.ndarray:
    return person.connectomes[0].astype(np.float64)


class ByThePage:
    """The model in float64, from the formulas of docs/linear.md."""

    def __init__(self, people, sets=SETS):
        self.maps = np.stack([person.maps.astype(np.float64) for person in people])
        self.b = np.stack([connectome_of(person) for person in people])
        self.n, self.sets = len(people), sets
        self.rows = np.split(np.arange(sum(sets)), np.cumsum(sets)[:-1])
        self.m = self.maps - self.maps.mean(axis=0)
        self.strength = 4 * max(1.0, 143.4 / sum(person.minutes for person in people))
        features = np.stack([standard(b) for b in self.b])
        self.mean = features.mean(axis=0)
        sd = features.std(axis=0)
        self.w = np.concatenate([sd[rows] / sd[rows].mean() for rows in self.rows])
        deviation = self.w * (features - self.mean)
        self.squares = [float((deviation[:, rows] ** 2).mean()) for rows in self.rows]
        self.coefficients, left_out = self.fit(self.mean, deviation, self.strength)
        self.gain = self.gains(left_out)
        # The amplitude.
        centred = self.b - self.b.mean(axis=2, keepdims=True)
        self.scale = centred.std(axis=2).mean(axis=0)
        columns = centred / self.scale[:, None]
        self.size_mean = columns.mean(axis=0)
        self.size_of, sizes_left_out = self.fit(self.size_mean, columns - self.size_mean, None)
        self.size_gain = self.gains(sizes_left_out)
        mean = self.maps.mean(axis=0)
        u = mean - mean.mean(axis=1, keepdims=True)
        self.u = u / np.linalg.norm(u, axis=1, keepdims=True)
        self.apart = self.error(sizes_left_out) < self.error(left_out)

    def fit(self, mean, deviation, strength):
        """Return coefficients (contrasts, rois), and predictions for people left out."""
        n, m = self.n, self.m
        away = n / (n - 1)
        coefficients, predictions = [], []
        for rows in self.rows:
            d = deviation[:, rows]
            fits = []
            for own, maps in zip(d, self.maps, strict=True):
                design = np.vstack([np.ones(PLACES), mean[rows] + own])
                fits.append(np.linalg.lstsq(design.T, maps.T, rcond=None)[0][1:].T)
            fits = np.array(fits)
            without = [(fits.sum(axis=0) - own) / (n - 1) for own in fits]
            linear = np.array([c @ (away * own) for c, own in zip(without, d, strict=True)])
            g = self.gains(linear)[:, None]
            pooled = g * fits.mean(axis=0)
            shared, shared_without = 0.0, [0.0] * n
            if strength is not None:
                gram = np.array([own @ own.T for own in d])
                left = np.array([own @ (y - pooled @ own).T for own, y in zip(d, m, strict=True)])

                def solve(gram, left, rows=rows):
                    ridge = strength * np.trace(gram) / len(rows) * np.eye(len(rows))
                    return np.linalg.solve(gram + ridge, left).T

                shared = solve(gram.sum(axis=0), left.sum(axis=0))
                shared_without = [
                    solve(gram.sum(axis=0) - gram[i], left.sum(axis=0) - left[i]) for i in range(n)
                ]
            coefficients.append(pooled + shared)
            predictions.append(
                [(g * without[i] + shared_without[i]) @ (away * d[i]) for i in range(n)]
            )
        return np.hstack(coefficients) / len(self.sets), np.mean(predictions, axis=0)

    def gains(self, predicted):
        away = self.n / (self.n - 1)
        products = (predicted * self.m * away).sum(axis=(0, 2))
        squares = (predicted**2).sum(axis=(0, 2))
        common = products.sum() / squares.sum()
        return np.clip((products / squares + common) / 2, 0, 1.5)

    def error(self, predicted):
        away = self.n / (self.n - 1)
        measured = (self.m * away * self.u).sum(axis=2)
        along = (predicted * self.u).sum(axis=2) * self.gains(predicted)
        return (((measured - along) ** 2).sum(axis=0) / (measured**2).sum(axis=0)).sum()

    def deviation(self, b, apart):
        """Return deviations of maps, of the whole model."""
        maps = self.gain[:, None] * (self.coefficients @ (self.w * (standard(b) - self.mean)))
        if not apart:
            return maps
        columns = (b - b.mean(axis=1, keepdims=True)) / self.scale[:, None]
        size = self.size_gain[:, None] * (self.size_of @ (columns - self.size_mean))
        return maps + ((size - maps) * self.u).sum(axis=1, keepdims=True) * self.u

    def short(self, b, mean):
        """Return deviations from the mean connectome of shorter rest."""
        total = 0.0
        for rows, square in zip(self.rows, self.squares, strict=True):
            d = self.w[rows] * (standard(b)[rows] - mean[rows])
            share = np.clip(square / (d**2).mean(), 0.1, 1.0)
            total = total + share * (self.coefficients[:, rows] @ d)
        return self.gain[:, None] * total


@pytest.mark.parametrize("amplitude", [True, False])
@pytest.mark.parametrize("people", [5, 12])
def test_predictions_are_those_of_the_page(people, amplitude):
    *training, new = simulated(people + 1)
    fit, page = fit_weighted(training, SETS, amplitude=amplitude), ByThePage(training)
    assert fit.strength == pytest.approx(page.strength)
    assert (fit.model.amplitude is not None) == (amplitude and page.apart)
    for person in (*training, new):
        found = fit.gains[:, None] * fit.model.predict(person.connectomes[0].astype(np.float32))
        wanted = page.deviation(connectome_of(person), fit.model.amplitude is not None)
        assert np.abs(found - wanted).max() < 1e-5 * wanted.std()


def test_the_amplitude_is_apart_where_people_differ_by_it_alone():
    people = simulated(10, noise=0.1)
    assert fit_weighted(people, SETS).model.amplitude is not None
    # Of one size each, in all rows.
    alike = [
        dataclasses.replace(
            person, connectomes=standard(connectome_of(person))[None].astype(np.float16)
        )
        for person in people
    ]
    rng = np.random.default_rng(3)
    noise = [
        dataclasses.replace(
            person,
            connectomes=(person.connectomes * rng.uniform(0.2, 5.0, size=(8, 1))).astype(
                np.float16
            ),
        )
        for person in alike
    ]
    assert fit_weighted(noise, SETS).model.amplitude is None


def test_less_rest_is_compared_with_the_mean_of_as_much():
    training = simulated(9)
    fit, page = fit_weighted(training, SETS), ByThePage(training)
    assert fit.lengths == (3.0,)
    mean = np.mean([person.shorter[3.0].astype(np.float64) for person in training], axis=0)
    rng = np.random.default_rng(1)
    b = mean + 0.8 * rng.normal(size=mean.shape)
    found = fit.gains[:, None] * fit.model.predict(b.astype(np.float32))
    wanted = page.short(b.astype(np.float32).astype(np.float64), mean)
    assert np.abs(found - wanted).max() < 1e-5 * wanted.std()


def test_lengths_that_not_everybody_has_are_left_out():
    people = simulated(6)
    people[3] = dataclasses.replace(people[3], shorter={})
    assert fit_weighted(people, SETS).lengths == ()
    people = [dataclasses.replace(person, minutes=3.5) for person in simulated(6)]
    assert fit_weighted(people, SETS).lengths == ()


def test_maps_that_are_not_measured_are_not_counted():
    """A person who lacks a contrast adds nothing to it; one who lacks places, nothing there."""
    people = simulated(9)
    last = people[-1].maps.copy()
    last[2] = np.nan
    lacking = [*people[:-1], dataclasses.replace(people[-1], sessions=(last,))]
    others, most = fit_weighted(lacking, SETS), fit_weighted(people, SETS)
    new = people[0].connectomes[0].astype(np.float32)
    # Contrasts whose maps are complete are as before, but for gains that contrasts share.
    one, two = (fit.model.predict(new)[[0, 1, 3]] for fit in (others, most))
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.999
    assert np.isfinite(others.model.predict(new)).all()
    np.testing.assert_allclose(
        others.mean_maps[2], np.mean([person.maps[2] for person in people[:-1]], axis=0), atol=1e-5
    )
    wrong = people[-1].maps.copy()
    wrong[2] = 1e4
    changed = [*people[:-1], dataclasses.replace(people[-1], sessions=(wrong,))]
    assert (
        np.abs(fit_weighted(changed, SETS).model.predict(new)[2]).max()
        > 10 * np.abs(others.model.predict(new)[2]).max()
    )


def test_people_who_are_all_alike_get_the_mean():
    first, *others = simulated(6)
    alike = [first, *(dataclasses.replace(o, connectomes=first.connectomes) for o in others)]
    fit = fit_weighted(alike, SETS)
    assert not fit.gains.any()
    assert fit.model.amplitude is None
    assert np.isfinite(fit.model.predict(first.connectomes[0].astype(np.float32))).all()


def test_a_model_comes_back_from_its_tensors():
    people = simulated(10, noise=0.1)
    model = fit_weighted(people, SETS).model
    back = WeightedLinear.from_tensors(model.tensors(), PLACES)
    new = people[3].connectomes[0].astype(np.float32)
    np.testing.assert_array_equal(back.predict(new), model.predict(new))
    assert back.amplitude is not None
    with pytest.raises(ValueError, match="places"):
        WeightedLinear.from_tensors(model.tensors(), PLACES + 1)
    with pytest.raises(ValueError, match="ROIs are not 8"):
        WeightedLinear.from_tensors({**model.tensors(), "sets": np.array([3, 4])}, PLACES)
    with pytest.raises(ValueError, match="directions"):
        WeightedLinear.from_tensors({**model.tensors(), "scale": np.ones(3)}, PLACES)


def test_one_person_is_too_few():
    with pytest.raises(ValueError, match="too few to leave one out"):
        fit_weighted(simulated(1), SETS)


def test_little_rest_is_shrunk_more():
    assert shrinkage(1000.0) == shrinkage(143.4) == 4
    assert shrinkage(36.0) == pytest.approx(4 * 143.4 / 36)
