"""What a model predicts for its people on average, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bids_dtg.contrasts.people import Array, Person
from bids_dtg.imaging.places import Places
from bids_dtg.notices import counted, say
from bids_dtg.stats.conformal import cell_block
from bids_dtg.stats.deviation import LEAST_PEOPLE, Deviation, PeopleSums


def sums_over(places: Places) -> PeopleSums:
    """Return sums over nobody yet, in cells of the usual size."""
    return PeopleSums(places.lattice(cell_block(places.spacing_mm)))


def mean_segments(people: Sequence[Person]) -> int:
    """Return how many segments of rest people have, on average and rounded."""
    return round(float(np.mean([len(person.connectomes) for person in people])))


def learn_deviation(
    people: Sequence[Person], predict: Callable[[Person], Array], places: Places, of: str
) -> Deviation | None:
    """Learn what people's predicted maps have in common; None, with a line, of too few people.

    Parameters
    ----------
    people
        Who they are.
    predict
        Predicts a person's maps as the bundle's users will, (contrasts, places).
    places
        Of the maps.
    of
        As of `Deviation`.
    """
    if len(people) < LEAST_PEOPLE:
        say(
            f"no deviations: {counted(len(people), 'participant')} are too few to tell a person's "
            f"own part from (at least {LEAST_PEOPLE}); group --analysis deviation can make them"
        )
        return None
    sums = sums_over(places)
    for person in people:
        sums.add(predict(person))
    return sums.deviation(segments=mean_segments(people), of=of)
