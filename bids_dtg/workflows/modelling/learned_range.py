"""What is usual of the rest of the people whom a model was fitted to or calibrated on."""

from __future__ import annotations

from collections.abc import Sequence

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.connectome.range.training import LEAST_PEOPLE, LEAST_SEGMENTS, TrainingRange
from bids_dtg.contrasts.people import Person
from bids_dtg.notices import counted, say
from bids_dtg.stats.conformal import cell_block


def learn_range(people: Sequence[Person], bundle: ModelBundle) -> TrainingRange | None:
    """Learn what is usual of people's connectomes, for runs of new people to be judged by.

    None, with a line, where the people or their segments are too few; and where places have no
    grid, as no run of images is judged then.

    Parameters
    ----------
    people
        Whose rest is usual.
    bundle
        Where the model reads.
    """
    if bundle.card.grid is None:
        return None
    rest = [person.rest for person in people if person.rest is not None]
    segments = sum(len(run) for own in rest for run in own.segments)
    found = f"{counted(len(rest), 'participant')} with {counted(segments, 'segment')} of rest"
    if len(rest) < LEAST_PEOPLE or segments < LEAST_SEGMENTS:
        say(
            f"no training statistics: {found} are too few (at least {LEAST_PEOPLE} with "
            f"{LEAST_SEGMENTS}); runs will be judged by the checks alone"
        )
        return None
    learned = TrainingRange.learn(rest, cell_block(bundle.places.spacing_mm))
    usual = learned.usual
    unit = "s" if usual.by_time else "effective degrees of freedom"
    say(
        f"training statistics: {found}, cut and joined to {usual.lowest:.0f} to "
        f"{usual.highest:.0f} {unit}"
    )
    return learned
