"""Moves of the connectome: what twins do once edges change along a direction, dose by dose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.fitting import Fitted
from bids_dtg.twin.interventions.outcomes import Outcomes, outcomes_of
from bids_dtg.twin.traces import Segments

Floats = NDArray[np.floating]
Array = NDArray[np.float64]
DOSES = (0.5, 1.0, 1.5, 2.0, 2.5)
_FEWEST = 2  # people who can differ


@dataclass(frozen=True, eq=False)
class Direction:
    """A direction of connectomes, and how far a dose of 1 goes along it."""

    unit: Array  # (edges,): of length 1
    length: float  # of a dose of 1, Fisher z

    @classmethod
    def along(cls, edges: Floats, connectomes: Floats) -> Direction:
        """Return the direction that edges point to; a dose is one standard deviation of people.

        The gradient of a figure is such a direction. Most of it is noise of the fit, in which
        people differ without any difference in behaviour: what a twin answers along it says
        little (`between` is the direction to believe).

        Parameters
        ----------
        edges
            (edges,), of any length; a gradient's sign is turned by the caller.
        connectomes
            (people, edges), by whose spread doses are counted.

        Raises
        ------
        ValueError
            The edges are all 0 or not finite, or people do not differ along them.

        Examples
        --------
        >>> people = np.array([[0.0, 1.0], [2.0, 1.0]])
        >>> direction = Direction.along(np.array([3.0, 0.0]), people)
        >>> direction.delta(2.0).round(3)
        array([2.828, 0.   ])
        """
        length = float(np.linalg.norm(edges))
        if not np.isfinite(length) or length == 0:
            raise ValueError("a direction has edges that are finite, and not all 0")
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
        doi:10.1016/j.neuroimage.2013.10.067). A move therefore changes edges in proportion to how
        they differ between people.

        Parameters
        ----------
        connectomes
            (people, edges), Fisher z. Use people outside the training set: in training
            participants the figure correlates with noise of the fit, too.
        figure
            (people,), as predicted by their twins; a person with NaN is left out. A dose of 1
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

    def delta(self, dose: float) -> Array:
        """Return the change of the connectome of a dose, (edges,), Fisher z.

        Parameters
        ----------
        dose
            How often the change of a dose of 1; below 0 the other way.
        """
        return np.asarray(dose * self.length * self.unit)


@dataclass(frozen=True, eq=False)
class Move:
    """What a move changes in people's twins."""

    dose: float  # as of `Direction.delta`
    before: Outcomes
    after: Outcomes

    def change(self, target: str) -> Array:
        """Return the change of a figure in each person, (people,), seconds.

        Parameters
        ----------
        target
            One of the outcomes' targets.
        """
        return self.after.of(target) - self.before.of(target)

    @property
    def changes(self) -> Array:
        """Changes of all figures, (people, targets), seconds."""
        return self.after.seconds - self.before.seconds


def performed_outcomes(fitted: Fitted, connectomes: Floats, segments: Segments) -> Outcomes:
    """Return what the twins of connectomes do.

    Parameters
    ----------
    fitted
        The twin.
    connectomes
        (people, edges), Fisher z.
    segments
        What they see, with an axis of people, and which trials are scored.
    """
    return outcomes_of(fitted.perform(connectomes, segments).buttons, segments)


def dose_response(
    fitted: Fitted,
    connectomes: Floats,
    segments: Segments,
    direction: Direction,
    doses: Sequence[float] = DOSES,
) -> tuple[Move, ...]:
    """Move people's connectomes along a direction, and return what their twins do then.

    Parameters
    ----------
    fitted
        The twin.
    connectomes
        (people, edges), Fisher z.
    segments
        What they see, with an axis of people.
    direction
        Along which all of them are moved.
    doses
        As of `Direction.delta`.
    """
    before = performed_outcomes(fitted, connectomes, segments)
    return tuple(
        Move(
            dose,
            before,
            performed_outcomes(fitted, connectomes + direction.delta(dose), segments),
        )
        for dose in doses
    )


def random_directions(connectomes: Floats, number: int, seed: int) -> list[Direction]:
    """Return random directions in which people's connectomes differ, as controls.

    Each is a random mixture of people's deviations from their mean: so it has the spread that
    connectomes have, and nothing to do with behaviour.

    Parameters
    ----------
    connectomes
        (people, edges), of two people or more.
    number
        Of directions.
    seed
        Of the mixtures.
    """
    rng = np.random.default_rng(seed)
    centred = np.asarray(connectomes, np.float64) - np.mean(connectomes, axis=0)
    mixtures = rng.standard_normal((number, len(centred)))
    return [Direction.along(mixture @ centred, connectomes) for mixture in mixtures]
