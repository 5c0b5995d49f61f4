"""All participants of one call for contrast maps."""

from __future__ import annotations

from collections.abc import Sequence

from bids_dtg.contrasts.participant.request import Request
from bids_dtg.contrasts.participant.worker import ParticipantWork, Steps
from bids_dtg.participants.call import RETRY_SECONDS, Level, run_call
from bids_dtg.participants.reports import show_methods
from bids_dtg.settings import Settings

_LEVEL = Level(Request.prepare, Steps.of, ParticipantWork.prepare)


def run_participants(settings: Settings, *, retry_seconds: Sequence[float] = RETRY_SECONDS) -> int:
    """Make the maps of every participant asked for.

    Parameters
    ----------
    settings
        Options of the call.
    retry_seconds
        How long to wait before each time that a participant is tried again whose failure may
        pass.

    Returns
    -------
    The number of participants that failed; the others are complete.

    Raises
    ------
    DtgError
        Nothing was started: wrong options, dataset or model.
    """
    return run_call(settings, _LEVEL, retry_seconds=retry_seconds)


def print_methods(settings: Settings) -> int:
    """Write the methods text and print it, and do nothing else; the number of failures is 0."""
    return show_methods(Request.prepare(settings))
