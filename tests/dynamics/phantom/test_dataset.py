"""Simulated networks as data sets: what is written holds the series that were simulated."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from bids_dtg.dynamics.phantom.dataset import NetworkPhantom
from bids_dtg.phantom.regions import RegionPlan

PLAN = RegionPlan(people=2, regions=8, frames=150, repetition_time_s=1.0)


def written(plan: RegionPlan, out: Path) -> NetworkPhantom:
    phantom = NetworkPhantom.of(plan, block=4)
    phantom.write(out, program="tests")
    return phantom


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def phantom(out) -> NetworkPhantom:
    return written(PLAN, out)


def test_both_kinds_of_connectomes_are_those_of_the_truth(phantom, out):
    networks = phantom.people.networks
    for label, weights in zip(networks.people, networks.weights, strict=True):
        (table,) = (out / "connectomes" / f"sub-{label}").rglob("*_relmat.tsv")
        with table.open() as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        assert tuple(row["name"] for row in rows) == networks.regions
        table_weights = [
            [float(row[name]) for name in networks.regions] for row in rows
        ]
        np.testing.assert_allclose(table_weights, weights, atol=1e-6)
        (matlab,) = (out / "qsirecon" / f"sub-{label}").rglob("*_connectivity.mat")
        arrays = scipy.io.loadmat(matlab)
        (count,) = [arrays[key] for key in arrays if key.endswith("count_connectivity")]
        np.testing.assert_allclose(count / count.max(), weights, atol=1e-6)
        (labels,) = [arrays[key] for key in arrays if key.endswith("region_labels")]
        assert tuple(name.strip() for name in labels) == networks.regions
