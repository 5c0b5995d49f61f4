from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.phantom.bold_image import encode_bold, encode_mask


@pytest.fixture(scope="module")
def anatomy():
    return load_anatomy(1)


def test_a_run_reads_back_within_half_a_step(anatomy, tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.uniform(0, 3000, (3, anatomy.brain.sum())).astype(np.float32)
    arguments = {"frames": 3, "repetition_time_s": 0.72, "description": "SIMULATED"}
    data = encode_bold([frames[:2], frames[2:]], anatomy, **arguments)
    assert data == encode_bold([frames], anatomy, **arguments)
    path = tmp_path / "bold.nii.gz"
    path.write_bytes(data)
    image = nib.load(path)
    assert image.shape == (91, 109, 91, 3)
    assert image.get_data_dtype() == np.int16
    assert image.header.get_zooms()[3] == pytest.approx(0.72)
    assert bytes(image.header["descrip"]).startswith(b"SIMULATED")
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (4, 4)
    # The model grid's first voxel, in mm, is where the full field of view has it.
    corner = np.linalg.inv(image.affine) @ [*anatomy.grid.affine[:3, 3], 1]
    np.testing.assert_allclose(corner[:3], (7, 9, 0))
    volume = np.asarray(image.dataobj)
    inside = volume[7:83, 9:102, 0:78]
    assert np.abs(inside[anatomy.brain].T - frames).max() <= 0.25 + 1e-3
    volume[7:83, 9:102, 0:78][anatomy.brain] = 0
    assert not volume.any()


def test_a_mask_reads_back(anatomy, tmp_path):
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(encode_mask(anatomy, "SIMULATED"))
    volume = np.asarray(nib.load(path).dataobj)
    assert volume.dtype == np.uint8
    np.testing.assert_array_equal(volume[7:83, 9:102, 0:78], anatomy.brain)
    assert volume.sum() == anatomy.brain.sum()


def test_a_wrong_number_of_frames_is_refused(anatomy):
    frames = np.zeros((2, anatomy.brain.sum()), np.float32)
    with pytest.raises(ValueError, match="2 frames came, the header says 3"):
        encode_bold([frames], anatomy, frames=3, repetition_time_s=1.0, description="")


def test_coarser_voxels_are_written_on_their_own_grid(tmp_path):
    coarse, rng = load_anatomy(4), np.random.default_rng(1)
    frames = rng.uniform(0, 3000, (2, coarse.brain.sum())).astype(np.float32)
    files = {
        "bold": encode_bold([frames], coarse, frames=2, repetition_time_s=1.5, description=""),
        "mask": encode_mask(coarse, ""),
    }
    images = {}
    for name, data in files.items():
        (tmp_path / f"{name}.nii.gz").write_bytes(data)
        images[name] = nib.load(tmp_path / f"{name}.nii.gz")
        np.testing.assert_array_equal(images[name].affine, coarse.grid.affine)
    np.testing.assert_allclose(images["bold"].header.get_zooms(), (8, 8, 8, 1.5))
    volume = np.asarray(images["bold"].dataobj)
    assert np.abs(volume[coarse.brain].T - frames).max() <= 0.25 + 1e-3
    np.testing.assert_array_equal(np.asarray(images["mask"].dataobj), coarse.brain)
