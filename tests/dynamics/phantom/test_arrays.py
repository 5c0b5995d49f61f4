"""Simulated people as files: what is written is read again."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.dynamics.demo_recovery import simulate_people
from bids_dtg.dynamics.networks import standardised
from bids_dtg.dynamics.participant.people import NetworkPeople
from bids_dtg.dynamics.phantom.arrays import write_people
from bids_dtg.settings import Settings


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.slow
def test_written_people_are_read_as_input_arrays(tmp_path):
    people = simulate_people(2, 4, seed=3)
    write_people(tmp_path, people)
    settings = Settings.of(
        bids_dir="in",
        output_dir="out",
        analysis_level="group",
        workflow="dynamics",
        analysis="train",
        input_arrays=(str(tmp_path / "networks.npz"),),
    )
    read = NetworkPeople.prepare(settings)
    (networks,) = [read.networks(session) for session in read.sessions]
    assert networks.people == people.networks.people
    assert networks.regions == people.networks.regions
    assert networks.tr_seconds == people.networks.tr_seconds
    assert np.allclose(networks.series, standardised(people.networks.series), atol=1e-5)
    assert np.allclose(networks.weights, people.networks.weights, atol=1e-6)


def test_the_truth_is_written_beside_them(tmp_path):
    people = simulate_people(2, 4, seed=3)
    write_people(tmp_path, people)
    truth = rows_of(tmp_path / "truth.tsv")
    assert [row["participant_id"] for row in truth] == ["sub-sim01"] * 4 + ["sub-sim02"] * 4
    for name, values in people.regional.items():
        assert np.allclose([float(row[name]) for row in truth], values.ravel())
    own = rows_of(tmp_path / "people.tsv")
    assert [float(row["G"]) for row in own] == list(people.personal["G"])
