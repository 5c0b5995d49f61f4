"""All participants of one call for series and network parameters."""

from __future__ import annotations

from bids_dtg.dynamics.participant.request import NetworkRequest
from bids_dtg.dynamics.participant.worker import NetworkSteps, NetworkWork
from bids_dtg.participants.call import Level, run_call
from bids_dtg.participants.reports import show_methods
from bids_dtg.settings import Settings

_LEVEL = Level(NetworkRequest.prepare, NetworkSteps.of, NetworkWork.prepare)


def run_participants(settings: Settings) -> int:
    """Make series, and parameters where there is a model, of every participant asked for.

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
    return show_methods(NetworkRequest.prepare(settings))
