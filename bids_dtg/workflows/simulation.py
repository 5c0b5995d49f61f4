"""Simulated people, written one by one while somebody looks on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from bids_dtg.engine.display import make_board
from bids_dtg.phantom.contrasts.dataset import (
    RunPlan,
    describe_datasets,
    participant_label,
    write_participant,
)
from bids_dtg.phantom.contrasts.model import Person, Phantom
from bids_dtg.version import __version__


def write_people(
    folder: Path, phantom: Phantom, people: Sequence[Person], *, plan: RunPlan, program: str
) -> None:
    """Write simulated people's datasets, and say how far it is.

    Parameters
    ----------
    folder
        As for `bids_dtg.phantom.contrasts.dataset.describe_datasets`.
    phantom, people
        The population, and those of it that are written.
    plan
        Of the resting runs.
    program
        Which program writes them, for the datasets' descriptions.
    """
    generator = {"Name": f"bids_dtg {program}", "Version": __version__}
    describe_datasets(folder, phantom, people, plan=plan, generator=generator)
    with make_board(len(people)) as board:
        reporter = board.lane(0)
        for person in people:
            start = time.perf_counter()
            reporter.start(f"simulating sub-{participant_label(person.index)}")
            write_participant(folder, person, plan=plan, stage=reporter.stage)
            reporter.finish(f"written in {time.perf_counter() - start:.0f} s")
            board.advance()
        reporter.note(f"{len(people)} simulated participants in {folder}")
