"""How far a connectome lies from those that a model was trained on.

The mean of the training connectomes on a coarse lattice and their first principal components say
what is usual; of each connectome there is kept how much it resembles the mean, how far it lies
along the components (Hotelling's T²), and how much they leave (Q; Jackson & Mudholkar 1979,
Technometrics 21: 341, for both), beside the figures of `pattern`. The Mahalanobis distance in
these few figures, from people who had no part in the components, is the distance. What is usual of
them depends on how much rest a connectome lies on; `figure_statistics` holds this dependence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.training_distribution.figure_statistics import FigureStatistics, Parts
from bids_dtg.connectome.training_distribution.summary import ConnectomeSummary, Rest

COMPONENTS = 8
FIGURES = (
    "similarity",
    "component_distance",
    "remainder",
    "map_match",
    "side_match",
    "symmetry",
    "strength",
    "smoothness",
    "memory",
    "level",
)
BEFORE_LEVEL = FIGURES[:-1]  # of models that were made before it was one of them
# With fewer of either, nothing is learned.
LEAST_PEOPLE, LEAST_SEGMENTS = 10, 20
# Unusual: farther than this share of the parts of rest of people left out; outside: so many times
# that.
_UNUSUAL_SHARE, _OUTSIDE_FACTOR = 0.95, 1.5
_FOLDS = 10  # of people, each left out in turn
_MOST_OF_BASIS = 240  # connectomes that a basis is taken from, and so many for each component
_SAMPLES_A_COMPONENT = 4
_LEAST = 1e-12

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Basis:
    """Mean and components of training connectomes, over blocks."""

    mean: Array  # (rois, blocks)
    components: Array  # (components, rois, blocks), each of length 1
    variances: Array  # (components,), of the training connectomes along them
    participants: int  # people who were trained on

    @classmethod
    def fit(cls, connectomes: Array, participants: int, components: int = COMPONENTS) -> Basis:
        """Compute the basis from connectomes (samples, rois, blocks), NaN where there is no signal.

        Raises
        ------
        ValueError
            If there are too few samples for the components.
        """
        samples = len(connectomes)
        if connectomes.ndim != 3 or samples <= components:
            raise ValueError(
                f"{components} components need more samples (samples, rois, blocks), "
                f"found {connectomes.shape}"
            )
        known = np.isfinite(connectomes)
        mean = np.where(known, connectomes, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        rows = np.where(known, connectomes - mean, 0).reshape(samples, -1).astype(np.float32)
        values, vectors = np.linalg.eigh(rows @ rows.T / samples)
        directions = vectors[:, ::-1][:, :components].T @ rows
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), _LEAST)
        shaped = directions.reshape(components, *mean.shape)
        variances = np.maximum(values[::-1][:components], _LEAST)
        return cls(mean.astype(np.float32), shaped, variances.astype(np.float32), participants)

    def figures(self, summary: ConnectomeSummary) -> NDArray[np.float64]:
        """Return `FIGURES` of a connectome."""
        blocks, pattern = np.asarray(summary.blocks, np.float32), summary.pattern
        if blocks.shape != self.mean.shape:
            raise ValueError(f"a connectome has {self.mean.shape} blocks, found {blocks.shape}")
        known = np.isfinite(blocks)
        deviation = np.where(known, blocks - self.mean, 0).astype(np.float32)
        scores = self.components.reshape(len(self.components), -1) @ deviation.ravel()
        left = deviation - np.tensordot(scores, self.components, axes=1)
        of_rows = (self.mean + deviation).mean(axis=1)
        one, two = blocks[known] - blocks[known].mean(), self.mean[known] - self.mean[known].mean()
        similarity = one @ two / max(float(np.sqrt((one @ one) * (two @ two))), _LEAST)
        return np.array(
            [
                similarity,
                # A cube root is nearly normal (Wilson & Hilferty 1931), a logarithm is not.
                np.cbrt(float(np.mean(scores**2 / self.variances))),
                np.log(max(float(np.mean(left[known] ** 2)), _LEAST)),
                pattern.map_match,
                pattern.side_match,
                pattern.symmetry,
                np.log(max(pattern.strength, _LEAST)),
                pattern.smoothness,
                np.log(summary.memory_s),
                # Whatever an ROI's sign: without the global signal, rows have no mean.
                np.log(max(float(np.sqrt(np.mean(of_rows**2))), _LEAST)),
            ]
        )

    def parts(self, person: int, summaries: Sequence[ConnectomeSummary]) -> Parts:
        """Return the figures of disjoint parts of a person's rest."""
        return Parts(
            person,
            np.array([self.figures(summary) for summary in summaries]),
            *(
                np.array([getattr(summary, name) for summary in summaries], np.float64)
                for name in ("residual_dof", "memory_s", "seconds", "frames")
            ),
        )


@dataclass(frozen=True, eq=False)
class TrainingDistribution:
    """Distribution of connectomes over people like those of the training."""

    basis: Basis
    edge: int  # of a block, counted in places
    participants: int  # people; the figures of each came from a basis learned without them
    statistics: FigureStatistics  # of their figures
    unusual: float  # distance from which on a run is unusual
    outside: float  # and from which on it is outside

    @classmethod
    def fit(cls, basis: Basis, edge: int, samples: Sequence[Parts]) -> TrainingDistribution:
        """Learn what is usual from figures of people, each from a basis learned without them.

        Raises
        ------
        ValueError
            If there are too few samples to know how figures go together.
        """
        statistics = FigureStatistics.fit(samples)
        unusual = float(np.quantile(_distances_left_out(samples), _UNUSUAL_SHARE, method="higher"))
        people = len({sample.person for sample in samples})
        return cls(basis, edge, people, statistics, unusual, _OUTSIDE_FACTOR * unusual)

    @classmethod
    def learn(cls, people: Sequence[Rest], edge: int) -> TrainingDistribution:
        """Learn basis and figures from the same people, with figures by cross-fitting in folds.

        Parameters
        ----------
        people
            Rest of each person, cut and joined to several lengths.
        edge
            Edge of a block, counted in places.

        Raises
        ------
        ValueError
            If there are fewer than `LEAST_PEOPLE`, or `LEAST_SEGMENTS`.
        """
        segments = sum(len(run) for rest in people for run in rest.segments)
        if len(people) < LEAST_PEOPLE or segments < LEAST_SEGMENTS:
            raise ValueError(
                f"{LEAST_PEOPLE} people and {LEAST_SEGMENTS} segments are needed, "
                f"found {len(people)} and {segments}"
            )
        samples = []
        for fold in range(_FOLDS):
            basis = _basis_of(rest for n, rest in enumerate(people) if n % _FOLDS != fold)
            for n in range(fold, len(people), _FOLDS):
                samples += [basis.parts(n, run) for run in people[n].segments]
                # A run's memory is that of its segments; what its length changes of it is theirs.
                samples += [
                    basis.parts(n, [replace(summary, memory_s=np.nan) for summary in parts])
                    for parts in people[n].other_lengths
                ]
        return cls.fit(_basis_of(people), edge, samples)

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures that it knows: the first of `FIGURES`."""
        return FIGURES[: len(self.statistics.sd)]

    def parts(self, summaries: Sequence[ConnectomeSummary]) -> Parts:
        """Return the figures, as far as it knows them, of disjoint parts of a person's rest."""
        parts = self.basis.parts(0, summaries)
        return replace(parts, figures=parts.figures[:, : len(self.figures)])

    def distance(self, parts: Parts) -> float:
        """Return the distance of a run's segments; about 1 for people like the training's."""
        return self.statistics.distance(parts)


def _basis_of(people: Iterable[Rest]) -> Basis:
    """Take a basis from the segments of people's rest; of many people, from some of them."""
    chosen = list(people)
    parts = [summary for rest in chosen for run in rest.segments for summary in run]
    parts = parts[:: -(-len(parts) // _MOST_OF_BASIS)]
    components = min(COMPONENTS, max(1, len(parts) // _SAMPLES_A_COMPONENT))
    blocks = np.stack([np.asarray(summary.blocks, np.float32) for summary in parts])
    return Basis.fit(blocks, len(chosen), components)


def _distances_left_out(samples: Sequence[Parts]) -> list[float]:
    """Return distances of single parts and of means over parts, by what others' are usually."""
    people = sorted({sample.person for sample in samples})
    fold_of = {person: n % _FOLDS for n, person in enumerate(people)}
    found = []
    for fold in range(min(_FOLDS, len(people))):
        statistics = FigureStatistics.fit(
            [sample for sample in samples if fold_of[sample.person] != fold]
        )
        for sample in (sample for sample in samples if fold_of[sample.person] == fold):
            found += [statistics.distance(part) for part in sample.single()]
            if len(sample.figures) > 1:
                found.append(statistics.distance(sample))
    return found
