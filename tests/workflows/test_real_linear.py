"""A linear model of the partial form on a real run: from the command line to maps and report."""

from __future__ import annotations

import html
import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from maps_bundle import maps_card
from maps_job import read_table
from plain_route import regress

from bids_dtg.bundles.card import TrainingData
from bids_dtg.cli.run import main
from bids_dtg.connectome.form import PENALTY, Form
from bids_dtg.contrasts import linear as linear_kind
from bids_dtg.contrasts.bundle.bundle import (
    BundleArrays,
    ModelBundle,
    load_bundle,
    write_bundle,
)
from bids_dtg.contrasts.bundle.kinds import LINEAR
from bids_dtg.contrasts.bundle.part import Recentring
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.linear import LinearModel
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

pytestmark = pytest.mark.slow

ROIS = 50
PARCELS_A_ROI = 8
PEOPLE = 5
NAME = "Schaefer2018_400Parcels_7Networks_order_FSLMNI152_2mm.nii.gz"


@dataclass(frozen=True)
class LinearJob:
    """A linear bundle of the published grid, and what the program made by it of a real run."""

    bundle: ModelBundle
    model: LinearModel
    out: Path
    seconds: dict[str, float]  # by stage of the call

    def path(self, ending: str) -> Path:
        (path,) = self.out.rglob(f"sub-HAPPYTEST_task-rest*{ending}")
        return path

    def on_mask(self, ending: str) -> np.ndarray:
        """Return the values of an image at the model's places, (places,) or (places, n)."""
        return nib.load(self.path(ending)).get_fdata()[self.bundle.places.mask]


def real_places(shared: Path) -> tuple[VoxelPlaces, VoxelPlaces, np.ndarray]:
    """Return brain and grey matter on the published grid, and ROI maps (rois, brain voxels)."""
    mni = shared / "data/mni"
    image = nib.load(mni / "MNI_2mm_brain_mask_crop.nii")
    grid = Grid(image.shape[:3], image.affine, resolution="2")
    grey = np.zeros(grid.shape, bool)
    for kind in ("cortical", "subcortical"):
        mask = nib.load(mni / f"MNI_2mm_{kind}_mask_crop.nii.gz")
        grey |= mask.get_fdata().reshape(grid.shape) > 0
    brain = (image.get_fdata().reshape(grid.shape) > 0) | grey
    atlas = nib.load(shared / "data/real/parcellations" / NAME)
    labels = np.asarray(atlas.dataobj).astype(int)
    steps = np.linalg.inv(atlas.affine) @ grid.affine
    at = np.indices(grid.shape).reshape(3, -1).T @ steps[:3, :3].T + steps[:3, 3]
    roi = (
        labels[tuple(np.rint(at).astype(int).T)].reshape(grid.shape)[brain] - 1
    ) // PARCELS_A_ROI
    maps = (roi == np.arange(ROIS)[:, None]).astype(np.float32)
    return VoxelPlaces.within(grid, brain), VoxelPlaces.within(grid, grey), maps


@pytest.fixture(scope="module")
def job(shared, tmp_path_factory) -> LinearJob:
    bids = shared / "data/real/fmriprep_like"
    if not bids.is_dir():
        pytest.skip(f"no {bids}")
    folder = tmp_path_factory.mktemp("linear")
    brain, places, maps = real_places(shared)
    contrasts = hcp_contrasts()
    rng = np.random.default_rng(0)
    mean, weights = rng.normal(size=(2, ROIS, places.number)).astype(np.float32)
    coefficients = rng.normal(size=(len(contrasts), ROIS)).astype(np.float32)
    model = LinearModel((ROIS,), mean, np.abs(weights), coefficients)
    gains = rng.uniform(0.2, 0.8, len(contrasts)).astype(np.float32).round(4)
    offset = rng.normal(size=(len(contrasts), places.number)).astype(np.float32)
    card = maps_card(
        name="five-people",
        version="1",
        kind=LINEAR.name,
        grid=brain.grid,
        contrasts=contrasts,
        connectome=Form("partial"),
        training=TrainingData("my study", 2.0, "simple", PEOPLE),
        recentring=Recentring(PEOPLE, 1),
        gains=tuple(float(f"{gain:.4f}") for gain in gains),
        for_science=False,
        notice="random coefficients, for tests",
    )
    tensors = linear_kind.tensors_of(model)
    arrays = BundleArrays(tensors, maps, brain, places, Correction(gains, offset))
    write_bundle(folder / "five-people", card, arrays)
    out = folder / "out"
    words = [
        bids,
        out,
        "participant",
        "--model",
        folder / "five-people",
        "--write",
        "maps",
        "connectome",
    ]
    words += [
        "--participant-label",
        "HAPPYTEST",
        "--min-minutes",
        "2",
        "--omp-nthreads",
        "1",
    ]
    assert main([*map(str, words)]) == 0
    (timing,) = out.glob("logs/*/timing.json")
    seconds = json.loads(timing.read_text())
    bundle = load_bundle(folder / "five-people")
    return LinearJob(bundle, model, out, seconds)


def test_maps_are_the_model_of_the_connectome_that_was_written(job):
    connectome = job.on_mask("_stat-partial_desc-connectome_statmap.nii.gz").T
    rows = connectome - connectome.mean(axis=1, keepdims=True)
    rows /= rows.std(axis=1, keepdims=True)
    for contrast in job.bundle.contrasts[::9]:
        slopes = job.model.coefficients[contrast.index].astype(float)
        correction, deviation = (
            job.bundle.correction,
            job.model.weights * (rows - job.model.means),
        )
        expected = correction.gains[contrast.index] * (slopes @ deviation)
        expected += correction.offset[contrast.index]
        expected[~connectome.any(axis=0)] = np.nan  # voxels without data
        written = job.on_mask(
            f"_contrast-{contrast.label}_stat-z_desc-synthetic_statmap.nii.gz"
        )
        np.testing.assert_allclose(written, expected, atol=2e-2, err_msg=contrast.label)


def test_the_connectome_is_a_regression_on_the_series_that_were_written(job):
    table = np.genfromtxt(job.path("_desc-rois_timeseries.tsv"), skip_header=1)
    facts = json.loads(
        job.path("_stat-partial_desc-connectome_statmap.json").read_text()
    )
    penalty = facts["Connectome"]["RidgePenalty"]
    assert penalty == PENALTY
    values = job.on_mask("_stat-partial_desc-connectome_statmap.nii.gz").T
    series = table - table.mean(axis=0)
    gram = np.corrcoef(series.T) + penalty * np.eye(ROIS)
    r = gram @ values
    assert np.abs(r).max() <= 1 + 1e-4  # they are correlations
    again = np.linalg.solve(gram, r)
    np.testing.assert_allclose(again, values, atol=1e-5)
    assert regress(table, series, 0.0).diagonal() == pytest.approx(1.0)


def test_the_validator_reports_no_error(job):
    if not shutil.which("bids-validator-deno"):
        pytest.skip("no bids-validator-deno here")
    words = ["bids-validator-deno", "--json", str(job.out)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_its_maps_take_less_than_a_second_of_the_model(job):
    print(
        ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in job.seconds.items())
    )
    connectome = job.on_mask("_stat-partial_desc-connectome_statmap.nii.gz").T.astype(
        np.float32
    )
    taken = []
    for _ in range(3):  # on a machine that does other things, too
        start = time.process_time()
        maps = Model(job.bundle, "cpu", 1).predict(connectome)
        taken.append(time.process_time() - start)
    assert maps.shape == (47, 158_680)
    print(f"47 maps from a connectome, the model read each time: {min(taken):.2f} s")
    assert min(taken) < 1.0


def test_the_report_says_what_the_model_reads_and_on_whom_it_stands(job):
    page = " ".join(html.unescape((job.out / "sub-HAPPYTEST.html").read_text()).split())
    assert "(linear model)" in page
    assert "trained on 5 real participants." in page
    assert "No verdict: the model was trained on 5 participants" in page
    (row,) = read_table(job.path("_qc.tsv"))
    assert float(row["dof_beyond_rois"]) == float(row["residual_dof"]) - ROIS > 20
    sidecar = read_inherited(
        job.path("_contrast-languageMath_stat-z_desc-synthetic_statmap.nii.gz")
    )
    assert (sidecar["ModelKind"], sidecar["Intervals"]) == ("linear", False)
    assert sidecar["ModelTraining"]["Participants"] == PEOPLE
    assert not list(job.out.rglob("*halfwidth*"))
