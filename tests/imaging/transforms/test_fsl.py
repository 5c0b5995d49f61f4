"""FSL's warp fields against a map that is known, and against FSL's own reader where it is."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.errors import RunError
from bids_dtg.imaging.transforms import read_transforms
from bids_dtg.inputs.run import TransformFile

SHAPE, MOVING_SHAPE = (12, 13, 11), (9, 10, 14)


def rotation(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.array(
        [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    )


def affine_of(sign: int, sizes, origin, degrees: float = 0.0) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) @ np.diag([sign * sizes[0], *sizes[1:]])
    affine[:3, 3] = origin
    return affine


def known(points: np.ndarray) -> np.ndarray:
    """Map points of the reference to points of the warped image, RAS+ mm."""
    bent = 1.5 * np.sin(points[:, [1, 2, 0]] / 15)
    return (points + bent) @ rotation(20).T + [3.0, -12.0, 7.0]


def fsl_point(voxel, shape, affine, sizes):
    """Give a voxel's place as FSL counts it, written out."""
    x = voxel[0] if np.linalg.det(affine[:3, :3]) < 0 else shape[0] - 1 - voxel[0]
    return np.array([x * sizes[0], voxel[1] * sizes[1], voxel[2] * sizes[2]])


def write_warp(
    folder: Path, sign: int, moving_sign: int, *, absolute: bool
) -> TransformFile:
    sizes, moving_sizes = (2.0, 2.5, 3.0), (2.4, 2.2, 3.1)
    affine = affine_of(sign, sizes, (10, -20, -5))
    moving_affine = affine_of(moving_sign, moving_sizes, (-4, 9, -30), 33)
    values = np.zeros((*SHAPE, 3), np.float32)
    for voxel in itertools.product(*map(range, SHAPE)):
        point = known((affine @ [*voxel, 1])[None, :3])[0]
        moving_voxel = (np.linalg.inv(moving_affine) @ [*point, 1])[:3]
        values[voxel] = fsl_point(
            moving_voxel, MOVING_SHAPE, moving_affine, moving_sizes
        )
        if not absolute:
            values[voxel] -= fsl_point(voxel, SHAPE, affine, sizes)
    warp, moving = folder / "warp.nii.gz", folder / "bold.nii.gz"
    image = nib.Nifti1Image(values, affine)
    image.header.set_intent(2006, allow_unknown=True)
    nib.save(image, warp)
    nib.save(
        nib.Nifti1Image(np.zeros((*MOVING_SHAPE, 2), np.int16), moving_affine), moving
    )
    return TransformFile(warp, warped=moving)


def nodes(file: TransformFile) -> np.ndarray:
    affine = nib.load(file.path).affine
    return np.argwhere(np.ones(SHAPE)) @ affine[:3, :3].T + affine[:3, 3]


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize(("sign", "moving_sign"), [(-1, -1), (-1, 1), (1, -1), (1, 1)])
def test_fields_of_both_kinds_and_any_storage(tmp_path, sign, moving_sign, absolute):
    file = write_warp(tmp_path, sign, moving_sign, absolute=absolute)
    (warp,) = read_transforms([file])
    np.testing.assert_allclose(warp.map(nodes(file)), known(nodes(file)), atol=1e-4)
    # Between the nodes it is interpolated: the known map bends little over a voxel.
    between = nodes(file).reshape(*SHAPE, 3)[:-1, :-1, :-1].reshape(-1, 3)
    between = between + nib.load(file.path).affine[:3, :3].sum(axis=1) / 2
    np.testing.assert_allclose(warp.map(between), known(between), atol=0.1)


def test_outside_the_field_there_is_no_image(tmp_path):
    file = write_warp(tmp_path, -1, 1, absolute=False)
    (warp,) = read_transforms([file])
    outside = nodes(file)[:1] + np.array([3.0, 0.0, 0.0])
    assert np.abs(warp.map(outside)).min() > 1e5


def test_as_fsl_reads_it(tmp_path):
    nonlinear = pytest.importorskip(
        "fsl.transform.nonlinear", reason="fslpy is not installed"
    )
    from fsl.data.image import Image

    for absolute in (False, True):
        file = write_warp(tmp_path, -1, 1, absolute=absolute)
        field = nonlinear.DeformationField(
            str(file.path), Image(str(file.warped)), srcSpace="fsl", refSpace="fsl"
        )
        points = nodes(file)
        oracle = field.transform(points, from_="world", to="world")
        (warp,) = read_transforms([file])
        np.testing.assert_allclose(warp.map(points), oracle, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "intent", "told"),
    [
        ((4, 4, 4, 3), 2007, "it holds coefficients, not a field"),
        ((4, 4, 4), 0, r"a field of FSL has sizes \(i, j, k, 3\), not \(4, 4, 4\)"),
        ((4, 4, 4, 1, 3), 1007, "a field of FSL has sizes"),
    ],
)
def test_what_is_no_field(tmp_path, shape, intent, told):
    file = write_warp(tmp_path, -1, 1, absolute=False)
    image = nib.Nifti1Image(np.zeros(shape, np.float32), np.eye(4))
    image.header.set_intent(intent, allow_unknown=True)
    nib.save(image, file.path)
    with pytest.raises(
        RunError, match=rf"warp\.nii\.gz cannot be read as a transform: {told}"
    ):
        read_transforms([file])
