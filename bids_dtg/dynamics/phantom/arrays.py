"""Write simulated people: arrays for ``--input-arrays``, and the truth as tables."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from bids_dtg.dynamics.phantom.people import SimulatedPeople
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.text import write_tsv


def write_people(folder: Path, people: SimulatedPeople) -> None:
    """Write simulated people for ``--input-arrays``, and their true parameters.

    Parameters
    ----------
    folder
        Output folder: ``networks.npz``, ``truth.tsv`` (a row for each region of a person) and
        ``people.tsv`` (a row for each person).
    people
        Their series and structural connectomes, with the parameters that made them.
    """
    networks, content = people.networks, io.BytesIO()
    np.savez_compressed(
        content,
        people=np.array(networks.people),
        places=np.array(networks.regions),
        rest=networks.series,
        tr_seconds=np.array(networks.tr_seconds),
        structural=networks.weights,
    )
    write_atomic(folder / "networks.npz", content.getvalue())
    names = tuple(people.regional)
    rows = [
        (f"sub-{label}", region, *(people.regional[name][row, column] for name in names))
        for row, label in enumerate(networks.people)
        for column, region in enumerate(networks.regions)
    ]
    write_tsv(folder / "truth.tsv", ["participant_id", "region", *names], rows)
    rows = [
        (f"sub-{label}", *(values[row] for values in people.personal.values()))
        for row, label in enumerate(networks.people)
    ]
    write_tsv(folder / "people.tsv", ["participant_id", *people.personal], rows)
