"""All participants of one call for connectomes and what their twins do."""

from __future__ import annotations

from bids_dtg.participants.call import Level, run_call
from bids_dtg.participants.reports import show_methods
from bids_dtg.settings import Settings
from bids_dtg.twin.participant.request import TwinRequest
from bids_dtg.twin.participant.worker import TwinSteps, TwinWork

_LEVEL = Level(TwinRequest.prepare, TwinSteps.of, TwinWork.prepare)


def run_participants(settings: Settings) -> int:
    """Make connectomes, and behaviour by twins where there is a model, of all asked for.

    Returns
    -------
    The number of participants that failed; the others are complete.

    Raises
    ------
    DtgError
        Nothing was started: wrong options, dataset or model.
    """
    return run_call(settings, _LEVEL)


def print_methods(settings: Settings) -> int:
    """Write the methods text and print it, and do nothing else; the number of failures is 0."""
    return show_methods(TwinRequest.prepare(settings))
