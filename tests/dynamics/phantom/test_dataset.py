"""Simulated networks as data sets: what is written holds the series that were simulated."""

from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import scipy.io

from bids_dtg.dynamics.phantom.dataset import NetworkPhantom, NetworkPlan

PLAN = NetworkPlan(people=2, regions=8, frames=150, repetition_time_s=1.0)
GENERATOR = {"Name": "tests", "Version": "0"}


def written(plan: NetworkPlan, out: Path) -> NetworkPhantom:
    phantom = NetworkPhantom.of(plan, block=4)
    phantom.write(out, generator=GENERATOR, report=lambda _: None)
    return phantom


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def phantom(out) -> NetworkPhantom:
    return written(PLAN, out)


def parcel_means(out: Path, label: str) -> np.ndarray:
    """Return (frames, regions) of a person, without the program."""
    (image,) = (out / "atlas").rglob("*_dseg.nii.gz")
    labels = np.asarray(nib.load(image).dataobj)
    (bold,) = (out / "fmriprep" / f"sub-{label}").rglob("*_bold.nii.gz")
    volume = np.asarray(nib.load(bold).dataobj)
    return np.stack([volume[labels == n].mean(axis=0) for n in range(1, labels.max() + 1)], axis=1)


def cleaned(series: np.ndarray, out: Path, label: str) -> np.ndarray:
    """Take out of (frames, regions) what nilearn's simple strategy does; steady frames remain."""
    from nilearn.interfaces.fmriprep import load_confounds_strategy

    (bold,) = (out / "fmriprep" / f"sub-{label}").rglob("*_bold.nii.gz")
    confounds, kept = load_confounds_strategy(str(bold), denoise_strategy="simple")
    design = np.column_stack([np.ones(len(kept)), confounds.to_numpy()[kept]])
    design /= np.linalg.norm(design, axis=0)
    steady = series[kept]
    return steady - design @ np.linalg.lstsq(design, steady, rcond=None)[0]


def lowest_r(one: np.ndarray, other: np.ndarray) -> float:
    return min(np.corrcoef(one[:, n], other[:, n])[0, 1] for n in range(one.shape[1]))


@pytest.mark.slow
def test_cleaned_parcel_means_are_the_simulated_series(phantom, out):
    networks = phantom.people.networks
    for series, label in zip(networks.series, networks.people, strict=True):
        found = parcel_means(out, label)
        clean = cleaned(found, out, label)
        assert lowest_r(clean, cleaned(series.T, out, label)) > 0.95
        # Of the series itself, the confounds explain a part by chance.
        assert lowest_r(clean, series.T[2:]) > 0.6
        assert lowest_r(found[2:], series.T[2:]) < 0.6  # there is something to clean


def test_both_kinds_of_connectomes_are_those_of_the_truth(phantom, out):
    networks = phantom.people.networks
    for label, weights in zip(networks.people, networks.weights, strict=True):
        (table,) = (out / "connectomes" / f"sub-{label}").rglob("*_relmat.tsv")
        with table.open() as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        assert tuple(row["name"] for row in rows) == networks.regions
        found = [[float(row[name]) for name in networks.regions] for row in rows]
        np.testing.assert_allclose(found, weights, atol=1e-6)
        (matlab,) = (out / "qsirecon" / f"sub-{label}").rglob("*_connectivity.mat")
        arrays = scipy.io.loadmat(matlab)
        (count,) = [arrays[key] for key in arrays if key.endswith("count_connectivity")]
        np.testing.assert_allclose(count / count.max(), weights, atol=1e-6)
        (labels,) = [arrays[key] for key in arrays if key.endswith("region_labels")]
        assert tuple(name.strip() for name in labels) == networks.regions


def test_the_truth_is_apart_from_the_data(phantom, out):
    with np.load(out / "truth" / "networks.npz") as arrays:
        np.testing.assert_array_equal(arrays["rest"], phantom.people.networks.series)
    with (out / "truth" / "truth.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [float(row["a"]) for row in rows] == list(phantom.people.regional["a"].ravel())
    assert not [path for name in NetworkPhantom.folders() for path in (out / name).rglob("truth*")]


@pytest.mark.slow
def test_the_validator_finds_no_error(phantom, out):
    validator = shutil.which("bids-validator-deno")
    if validator is None:
        pytest.skip("bids-validator-deno is not installed")
    assert set(NetworkPhantom.folders()) < {root.name for root in out.iterdir()}
    for name in NetworkPhantom.folders():
        report = subprocess.run(
            [validator, out / name], capture_output=True, text=True, check=False
        )
        assert report.returncode == 0, report.stdout
        assert "[ERROR]" not in report.stdout
