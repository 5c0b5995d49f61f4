"""The lines of the page on outputs that take means over regions with the run's mask."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import make_image
from tiny_bundle import TINY_AFFINE, TINY_SHAPE
from tiny_job import TinyJob

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "outputs.md"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_zeros_outside_the_mask_are_in_no_mean(tmp_path):
    block = re.compile(r"^    ```python\n(.*?)^    ```", re.DOTALL | re.MULTILINE)
    (code,) = block.findall(PAGE.read_text())
    job = TinyJob(tmp_path / "job", ("01",))
    assert job.run("--denoise-strategy", "simple") == 0
    labels = np.broadcast_to(np.repeat(np.arange(3) + 1, 4)[None, :, None], TINY_SHAPE)
    make_image(tmp_path / "atlas.nii.gz", labels.astype(np.int16), TINY_AFFINE)
    (coverage,) = job.out.rglob("*_desc-coverage_dseg.nii.gz")
    statmap = min(job.out.rglob("*_desc-synthetic_statmap.nii.gz"))
    for name, path in {
        "…_desc-coverage_dseg.nii.gz": coverage,
        "atlas.nii.gz": tmp_path / "atlas.nii.gz",
        "…_desc-synthetic_statmap.nii.gz": statmap,
    }.items():
        code = code.replace(f'"{name}"', repr(str(path)))
    found: dict[str, np.ndarray] = {}
    exec(dedent(code), found)
    values, inside = nib.load(statmap).get_fdata(), nib.load(coverage).get_fdata() == 1
    assert (values[~inside & (labels > 0)] == 0).any()  # which a mean without the mask counts
    wanted = [values[inside & (labels == label)].mean() for label in (1, 2, 3)]
    assert found["means"].ravel() == pytest.approx(wanted, abs=1e-6)
