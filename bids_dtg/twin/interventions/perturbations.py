"""Perturbations of the connectome: twins' behaviour after edges change along a direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.fitting import Fitted
from bids_dtg.twin.interventions.outcomes import Outcomes, outcomes_of
from bids_dtg.twin.trial_series import Segments

Floats = NDArray[np.floating]
Array = NDArray[np.float64]
STEP_SIZES = (0.5, 1.0, 1.5, 2.0, 2.5)
_FEWEST = 2  # people, for a difference between them


@dataclass(frozen=True, eq=False)
class Direction:
    """A direction in the space of connectomes, and the length of a step of size 1 along it."""

    unit: Array  # (edges,): of length 1
    length: float  # of a step of size 1, Fisher z

    @classmethod
    def along(cls, edges: Floats, connectomes: Floats) -> Direction:
        """Return the direction of a vector of edges; step size 1 is one SD of people along it.

        The gradient of a figure is such a direction. Most of a gradient is noise of the fit, along
        which people differ without any difference in behaviour, so changes along it are hard to
        interpret. `between` gives an interpretable direction.

        Parameters
        ----------
        edges
            (edges,), of any length; the caller chooses the sign.
        connectomes
            (people, edges), Fisher z; their SD along the direction is step size 1.

        Raises
        ------
        ValueError
            The edges are all 0 or not finite, or people do not vary along them.

        Examples
        --------
        >>> people = np.array([[0.0, 1.0], [2.0, 1.0]])
        >>> direction = Direction.along(np.array([3.0, 0.0]), people)
        >>> direction.delta(2.0).round(3)
        array([2.828, 0.   ])
        """
        length = float(np.linalg.norm(edges))
        if not np.isfinite(length) or length == 0:
            raise ValueError("a direction needs edges that are finite, and not all 0")
        unit = np.asarray(edges, np.float64) / length
        sd = float((np.asarray(connectomes, np.float64) @ unit).std(ddof=1))
        if not sd > 0:
            raise ValueError("people do not differ along the direction")
        return cls(unit, sd)

    @classmethod
    def between(cls, connectomes: Floats, figure: Array) -> Direction:
        """Return the connectome difference between people one standard deviation of a figure apart.

        It is the covariance of edges with the figure, over the figure's standard deviation: the
        pattern by which a linear model is interpreted (Haufe et al., 2014,
        doi:10.1016/j.neuroimage.2013.10.067). A perturbation along it therefore changes edges in
        proportion to how they differ between people.

        Parameters
        ----------
        connectomes
            (people, edges), Fisher z. Use people outside the training set: in training
            participants the figure correlates with noise of the fit, too.
        figure
            (people,), as predicted by their twins; a person with NaN is left out. Step size 1
            raises it by about its standard deviation, -1 lowers it.

        Raises
        ------
        ValueError
            Fewer than two people have a figure, or it does not vary, or no edge covaries with it.

        Examples
        --------
        >>> people = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
        >>> Direction.between(people, np.array([0.3, 0.2, 0.1])).delta(1.0).round(3) + 0.0
        array([-2.,  0.])
        """
        known = np.isfinite(figure)
        values, own = np.asarray(connectomes, np.float64)[known], np.asarray(figure)[known]
        if len(own) < _FEWEST or not own.std() > 0:
            raise ValueError("a figure that differs between people is needed, of two or more")
        centred = (own - own.mean()) / own.std(ddof=1)
        difference = centred @ (values - values.mean(axis=0)) / (len(own) - 1)
        length = float(np.linalg.norm(difference))
        if not length > 0:
            raise ValueError("no edge goes with the figure")
        return cls(difference / length, length)

    @property
    def reversed(self) -> Direction:
        """The opposite direction."""
        return Direction(-self.unit, self.length)

    def delta(self, step_size: float) -> Array:
        """Return the change of the connectome for a step size, (edges,), Fisher z.

        Parameters
        ----------
        step_size
            Multiple of the change of step size 1; a negative one has the opposite sign.
        """
        return np.asarray(step_size * self.length * self.unit)


@dataclass(frozen=True, eq=False)
class Perturbation:
    """Outcomes of people's twins before and after a perturbation."""

    step_size: float  # as in `Direction.delta`
    before: Outcomes
    after: Outcomes

    def change(self, target: str) -> Array:
        """Return the change of one of the outcomes' targets in each person, (people,), seconds."""
        return self.after.of(target) - self.before.of(target)


def performed_outcomes(fitted: Fitted, connectomes: Floats, segments: Segments) -> Outcomes:
    """Run the twins of connectomes (people, edges) on segments and return their outcomes."""
    return outcomes_of(fitted.perform(connectomes, segments), segments)


def perturb_connectomes(
    fitted: Fitted,
    connectomes: Floats,
    segments: Segments,
    direction: Direction,
    step_sizes: Sequence[float] = STEP_SIZES,
) -> tuple[Perturbation, ...]:
    """Perturb people's connectomes along a direction and return the outcomes of their twins.

    Parameters
    ----------
    fitted
        The twin that makes networks from connectomes.
    connectomes
        (people, edges), Fisher z, before the perturbation.
    segments
        What they see, with an axis of people.
    direction
        Direction along which all connectomes change.
    step_sizes
        Step sizes along the direction (`Direction.delta`), one perturbation each.
    """
    before = performed_outcomes(fitted, connectomes, segments)
    return tuple(
        Perturbation(
            step_size,
            before,
            performed_outcomes(fitted, connectomes + direction.delta(step_size), segments),
        )
        for step_size in step_sizes
    )


def random_directions(connectomes: Floats, number: int, seed: int) -> list[Direction]:
    """Return random directions in which people's connectomes differ, as controls.

    Each is a random mixture of people's deviations from their mean: it has the spatial structure of
    differences between connectomes, and is unrelated to behaviour.

    Parameters
    ----------
    connectomes
        (people, edges), of two people or more.
    number
        Number of directions to draw.
    seed
        Seed of the mixtures' random numbers.
    """
    rng = np.random.default_rng(seed)
    centred = np.asarray(connectomes, np.float64) - np.mean(connectomes, axis=0)
    mixtures = rng.standard_normal((number, len(centred)))
    return [Direction.along(mixture @ centred, connectomes) for mixture in mixtures]
