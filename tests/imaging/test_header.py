"""What a header says of where voxels lie: two forms that may contradict each other."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.errors import RunError
from bids_dtg.imaging.nifti import read_header

AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
SHAPE = (10, 12, 9, 5)


def write(path: Path, sform, s_code: int, qform, q_code: int) -> Path:
    image = nib.Nifti1Image(np.zeros(SHAPE, np.int16), AFFINE)
    image.set_sform(sform, s_code)
    image.set_qform(qform, q_code)
    nib.save(image, path)
    return path


def moved(millimetres: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[1, 3] += millimetres
    return affine


MIRRORED = AFFINE @ np.diag([-1.0, 1, 1, 1])


@pytest.mark.parametrize(
    ("sform", "s_code", "qform", "q_code", "wanted", "apart"),
    [
        (AFFINE, 4, AFFINE, 4, AFFINE, 0),
        (AFFINE, 4, moved(0.9), 4, AFFINE, 0),  # less than half a voxel: rounding, not meaning
        (AFFINE, 4, moved(30), 1, AFFINE, 30),  # the qform is that of the scanner
        (AFFINE, 4, moved(30), 0, AFFINE, 0),
        (AFFINE, 0, moved(30), 1, moved(30), 0),
    ],
)
def test_the_sform_is_used_where_it_has_a_code(
    tmp_path, sform, s_code, qform, q_code, wanted, apart
):
    header = read_header(write(tmp_path / "a.nii", sform, s_code, qform, q_code))
    np.testing.assert_allclose(header.affine, wanted, atol=1e-5)
    assert header.forms_differ_mm == pytest.approx(apart, abs=1e-4)


@pytest.mark.parametrize(
    ("sform", "s_code", "qform", "q_code", "fact"),
    [
        (AFFINE, 4, MIRRORED, 4, "take opposite sides for left"),
        (AFFINE, 4, MIRRORED, 1, "take opposite sides for left"),
        (AFFINE, 1, moved(30), 1, r"name the same space and put a voxel 30 mm apart"),
        (AFFINE, 0, AFFINE, 0, "does not say where its voxels lie"),
    ],
)
def test_contradictions_are_refused(tmp_path, sform, s_code, qform, q_code, fact):
    path = write(tmp_path / "a.nii.gz", sform, s_code, qform, q_code)
    with pytest.raises(RunError, match=fact) as caught:
        read_header(path)
    assert str(path) in str(caught.value)


def test_real_files_agree_with_themselves(shared):
    files = sorted((shared / "data/real/fmriprep_like").rglob("*.nii.gz"))
    assert len(files) > 8
    assert {read_header(path).forms_differ_mm for path in files} == {0.0}
