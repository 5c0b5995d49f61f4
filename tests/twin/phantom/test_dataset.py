"""Simulated twins as data sets: what is written holds the people who were simulated."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.inputs.events import find_events, read_events
from bids_dtg.phantom.regions import RegionPlan
from bids_dtg.twin.phantom.dataset import (
    TwinPhantom,
    correlations,
    draw_rest,
    possible_edges,
)
from bids_dtg.twin.tasks import find_task
from bids_dtg.twin.trials import read_trials

PLAN = RegionPlan(people=2, regions=8, frames=150)


def written(plan: RegionPlan, out: Path) -> TwinPhantom:
    phantom = TwinPhantom.of(plan, block=4)
    phantom.write(out, program="tests")
    return phantom


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("twins")


@pytest.fixture(scope="module")
def phantom(out) -> TwinPhantom:
    return written(PLAN, out)


def cleaned_edges(out: Path, label: str) -> np.ndarray:
    """Return a person's edges, Fisher z, cleaned by nilearn's simple strategy."""
    from nilearn.interfaces.fmriprep import load_confounds_strategy

    (image,) = (out / "atlas").rglob("*_dseg.nii.gz")
    labels = np.asarray(nib.load(image).dataobj)
    (bold,) = (out / "fmriprep" / f"sub-{label}").rglob("*_bold.nii.gz")
    volume = np.asarray(nib.load(bold).dataobj)
    means = [volume[labels == n].mean(axis=0) for n in range(1, labels.max() + 1)]
    confounds, sample_mask = load_confounds_strategy(
        str(bold), denoise_strategy="simple"
    )
    design = np.column_stack(
        [np.ones(len(sample_mask)), confounds.to_numpy()[sample_mask]]
    )
    design /= np.linalg.norm(design, axis=0)
    steady = np.stack(means, axis=1)[sample_mask]
    clean = steady - design @ np.linalg.lstsq(design, steady, rcond=None)[0]
    above = np.triu_indices(len(means), 1)
    return np.arctanh(np.corrcoef(clean.T)[above])


def test_cleaned_images_correlate_as_the_connectome_says(phantom, out):
    for edges, label in zip(
        phantom.people.connectomes, phantom.people.labels, strict=True
    ):
        image_edges = cleaned_edges(out, label)
        assert np.corrcoef(image_edges, edges)[0, 1] > 0.85
        assert np.sqrt(((image_edges - edges) ** 2).mean()) < 0.1


def test_event_files_are_read_by_the_tasks_that_ship(phantom, out):
    event_files = find_events(out / "bids")
    assert [(file.participant, file.task) for file in event_files] == [
        (label, name)
        for label in phantom.people.labels
        for name in ("hammerAP", "stroopAP")
    ]
    for file in event_files:
        task = find_task("faces" if file.task == "hammerAP" else "stroop")
        trials = read_trials(task, read_events(file.path))
        assert trials.scored.sum() > 70
        assert 0.4 < np.nanmean(trials.rt_seconds) < 1.5


@settings(max_examples=30)
@given(st.integers(2, 12), st.integers(0, 1000), st.floats(0.0, 0.9))
def test_series_correlate_exactly_as_asked_for(regions, seed, persistence):
    rng = np.random.default_rng(seed)
    edges = possible_edges(rng.normal(0.0, 0.4, regions * (regions - 1) // 2))
    series = draw_rest(edges, rng, frames=40, persistence=persistence)
    np.testing.assert_allclose(np.corrcoef(series.T), correlations(edges), atol=1e-5)
    np.testing.assert_allclose(series.std(axis=0), 1.0, atol=1e-5)
