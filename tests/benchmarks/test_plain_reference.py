"""The plain side of benchmarks finds the same connectome by cheap and by published steps."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from plain_reference import STEPS  # noqa: E402

SHAPE, GRID, FRAMES, ROIS = (12, 13, 11), (8, 9, 7), 40, 4


@pytest.fixture(scope="module")
def run():
    """Return a run, a brain's mask on a smaller grid within it, and maps of ROIs."""
    rng = np.random.default_rng(1)
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (20, -30, -10)
    bold = rng.integers(0, 2000, (*SHAPE, FRAMES)).astype(np.int16)
    bold[:2] = 0  # what the crop leaves out
    bold[5, 5, 5] = 7  # does not vary
    grid = affine.copy()
    grid[:3, 3] = affine[:3, :3] @ (3, 2, 1) + affine[:3, 3]
    mask = rng.random(GRID) < 0.5
    brain = nib.Nifti1Image(mask.astype(np.uint8), grid)
    return nib.Nifti1Image(bold, affine), brain, rng.random((ROIS, mask.sum()))


def connectome_by(steps, run):
    image, brain, maps = run
    sample, correlate = STEPS[steps]
    sampled = sample(image, brain)
    return sampled.get_fdata(), correlate(sampled, brain, maps)


def test_voxels_are_those_of_the_grid(run):
    image, _, _ = run
    expected = np.asanyarray(image.dataobj)[3:11, 2:11, 1:8]
    for steps in STEPS:
        np.testing.assert_array_equal(connectome_by(steps, run)[0], expected)


def test_brain_voxels_are_correlated_alike(run):
    inside = np.asanyarray(run[1].dataobj) > 0
    found = {steps: connectome_by(steps, run)[1] for steps in STEPS}
    assert found["indexed"].shape == (ROIS, *GRID)
    assert np.abs(found["indexed"]).max() > 0.3
    for steps, r in found.items():
        np.testing.assert_allclose(r[:, inside], found["indexed"][:, inside], atol=1e-5)
        assert bool(r[:, ~inside].any()) == (steps == "published")
