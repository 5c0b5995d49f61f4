"""The linear model of docs/explanation/linear.md, in float64: an oracle."""

from __future__ import annotations

import numpy as np
from plain_route import plain_series, regress

from bids_dtg.contrasts.people import Person


def standard(rows: np.ndarray) -> np.ndarray:
    """Standardise rows over places."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    return rows / rows.std(axis=1, keepdims=True)


def connectome_of_rest(
    rest: np.ndarray, maps: np.ndarray, sets: tuple[int, ...]
) -> np.ndarray:
    """Return the connectome (rois, places) of rest (frames, places), each set by itself."""
    scaled = (rest - rest.mean(axis=0)) / rest.std(axis=0)
    rows = np.split(np.arange(sum(sets)), np.cumsum(sets)[:-1])
    return np.vstack(
        [regress(scaled, plain_series(scaled, maps[rois]), 0.06) for rois in rows]
    )


def connectome_of(person: Person) -> np.ndarray:
    return person.connectomes[0].astype(np.float64)


class ByThePage:
    """The model in float64, from docs/explanation/linear.md, a contrast at a time."""

    def __init__(self, people, sets):
        self.maps = np.stack([person.maps.astype(np.float64) for person in people])
        self.known = np.isfinite(self.maps).any(axis=2)  # (people, contrasts)
        self.inside = np.isfinite(self.maps).any(axis=0)  # (contrasts, places)
        self.b = np.stack([connectome_of(person) for person in people])
        self.n, self.sets = len(people), sets
        self.rows = np.split(np.arange(sum(sets)), np.cumsum(sets)[:-1])
        minutes = sum(person.minutes for person in people)
        self.strength = 4.0 if np.isnan(minutes) else 4 * max(1.0, 143.4 / minutes)
        features = np.stack([standard(b) for b in self.b])
        self.mean = features.mean(axis=0)
        sd = features.std(axis=0)
        self.w = np.concatenate([sd[rows] / sd[rows].mean() for rows in self.rows])
        deviation = self.w * (features - self.mean)
        self.variances = [(deviation[:, rows] ** 2).mean() for rows in self.rows]
        self.coefficients, self.left_out = self.fit(self.mean, deviation)
        self.gain = self.gains(self.left_out)

    def measured(self, q):
        """Return deviations of the people who have a contrast, and from the mean of others."""
        maps = self.maps[self.known[:, q], q][:, self.inside[q]]
        deviation = maps - maps.mean(axis=0)
        return deviation, deviation * len(maps) / (len(maps) - 1)

    def fit(self, mean, deviation):
        """Return coefficients (contrasts, rois), and for each contrast those left out predicted."""
        away, contrasts = self.n / (self.n - 1), self.maps.shape[1]
        coefficients = [[None] * len(self.rows) for _ in range(contrasts)]
        predictions = [0.0] * contrasts
        for number, rows in enumerate(self.rows):
            fits = []
            without = []
            linear = []
            deviations = []
            for q in range(contrasts):
                inside = self.inside[q]
                deviations.append(deviation[self.known[:, q]][:, rows][:, :, inside])
                rest = mean[rows][:, inside]
                intercept = np.ones(inside.sum())
                designs = [
                    np.vstack([intercept, rest + features]).T
                    for features in deviations[q]
                ]
                own_maps = self.maps[self.known[:, q], q][:, inside]
                slopes = [
                    np.linalg.lstsq(design, values, rcond=None)[0][1:]
                    for design, values in zip(designs, own_maps, strict=True)
                ]
                fits.append(np.mean(slopes, axis=0))
                without.append(
                    [
                        (np.sum(slopes, axis=0) - s) / (len(deviations[q]) - 1)
                        for s in slopes
                    ]
                )
                linear.append(
                    np.array(
                        [
                            s @ (away * o)
                            for s, o in zip(without[q], deviations[q], strict=True)
                        ]
                    )
                )
            gains = self.gains(linear)
            for q in range(contrasts):
                pooled = gains[q] * fits[q]
                gram = np.array([features @ features.T for features in deviations[q]])
                residual_products = np.array(
                    [
                        o @ (y - pooled @ o)
                        for o, y in zip(deviations[q], self.measured(q)[0], strict=True)
                    ]
                )

                size = np.trace(gram.sum(axis=0)) / len(rows)
                whole = gram.sum(axis=0) + self.strength * size * np.eye(len(rows))
                shared = np.linalg.solve(whole, residual_products.sum(axis=0))
                shared_without = [
                    np.linalg.solve(whole - g, residual_products.sum(axis=0) - y)
                    for g, y in zip(gram, residual_products, strict=True)
                ]
                coefficients[q][number] = pooled + shared
                of_people = [
                    (away * gains[q] * slope + shared_slope) @ features
                    for slope, shared_slope, features in zip(
                        without[q], shared_without, deviations[q], strict=True
                    )
                ]
                predictions[q] = predictions[q] + np.array(of_people) / len(self.rows)
        joined = np.array([np.concatenate(of_contrast) for of_contrast in coefficients])
        return joined / len(self.rows), predictions

    def gains(self, predicted):
        pairs = [(p, self.measured(q)[1]) for q, p in enumerate(predicted)]
        products = np.array([(p * m).sum() for p, m in pairs])
        squares = np.array([(p**2).sum() for p, _ in pairs])
        common = products.sum() / squares.sum()
        return np.clip((products / squares + common) / 2, 0, 1.5)

    def deviation(self, b):
        """Return deviations of maps, of the whole model."""
        features = self.w * (standard(b) - self.mean)
        for rows, variance in zip(self.rows, self.variances, strict=True):
            features[rows] *= np.clip(variance / (features[rows] ** 2).mean(), 0.1, 1)
        return self.gain[:, None] * (self.coefficients @ features)
