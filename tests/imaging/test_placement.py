"""Voxels of a grid in the space of a run: positions, values, sides; and against ANTs."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from itk_files import affine_part, field_part, write_composite, write_text

from bids_dtg.errors import RunError
from bids_dtg.imaging.bold import read_bold_header, stream_voxels
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.placement import Placement
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.run import TransformFile

# 2 mm, right to left, 48 x 52 x 44 mm around the origin.
AFFINE = np.array([[-2.0, 0, 0, 24], [0, 2, 0, -26], [0, 0, 2, -22], [0, 0, 0, 1]])
GRID = Grid((25, 27, 23), AFFINE)
VOXELS = np.arange(25 * 27 * 23)
FRAMES = 6
COURSES = np.random.default_rng(0).normal(size=(FRAMES, 3))


def centres(grid: Grid = GRID) -> np.ndarray:
    """(voxels, 3) mm."""
    return points_of(grid.affine, grid.shape)


def points_of(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(voxels, 3) mm, C order."""
    return np.indices(shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]


def phantom(points: np.ndarray) -> np.ndarray:
    """(frames, points): three smooth patterns over some 3 cm, each with a course."""
    x, y, z = points.T / 5
    patterns = np.stack(
        [np.sin(x) + np.cos(y), np.sin(y + 1) * np.cos(z), np.cos(x + z)]
    )
    return 1000 + 100 * COURSES @ patterns


def write_run(
    path: Path, affine: np.ndarray, shape: tuple[int, ...], values=phantom
) -> Path:
    """Write the values at the voxels of a lattice of the file's space."""
    series = values(points_of(affine, shape))
    data = np.moveaxis(series.reshape(-1, *shape), 0, -1).astype(np.float32)
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def read(path: Path, transforms=(), interpolation="linear"):
    """(frames, voxels) at the grid's voxels, which are covered, and how they were taken."""
    header = read_bold_header(path)
    placement = Placement.through(VoxelPlaces(GRID, VOXELS), transforms)
    sampling, method = placement.in_file(header, interpolation)
    blocks = [block.copy() for _, block in stream_voxels(header, sampling, 4)]
    return np.concatenate(blocks), sampling.covered, method


def around(points: np.ndarray, size: float, turn: float = 0.0):
    """Affine and shape of a lattice of this voxel size, turned (rad), that holds the points."""
    rotation = np.eye(3)
    rotation[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    low, high = (
        (points @ rotation).min(axis=0) - size,
        (points @ rotation).max(axis=0) + size,
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation * size
    affine[:3, 3] = rotation @ low
    return affine, tuple(np.ceil((high - low) / size).astype(int) + 1)


# --- a known truth


def small_affine() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3] = [[1.05, 0.1, -0.04, 3], [-0.08, 0.95, 0.06, -5], [0.02, -0.1, 1.02, 2]]
    return matrix


def bend(points: np.ndarray) -> np.ndarray:
    """Displace by up to 4 mm, over some 10 cm."""
    x, y, z = points.T / 16
    return np.stack([3 * np.sin(y), 2 * np.cos(x + z), 2.5 * np.sin(z - x)], axis=1)


def bend_part():
    nodes = np.array([[-3.0, 0, 0, 60], [0, 3, 0, -60], [0, 0, 3, -60], [0, 0, 0, 1]])
    points = points_of(nodes, (41, 41, 41))
    return field_part(bend(points).reshape(41, 41, 41, 3), nodes)


def by_matrix(points: np.ndarray) -> np.ndarray:
    return points @ small_affine()[:3, :3].T + small_affine()[:3, 3]


# name -> parts of the composite, as ITK stacks them; what it does to points
TRUTHS = {
    "composite, field first": (
        lambda: [affine_part(small_affine()), bend_part()],
        lambda x: by_matrix(x + bend(x)),
    ),
    "composite, affine first": (
        lambda: [bend_part(), affine_part(small_affine())],
        lambda x: by_matrix(x) + bend(by_matrix(x)),
    ),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_an_analytic_phantom_under_known_transforms(tmp_path, name):
    """Places within 0.05 mm, and values of a 2 mm oblique file that correlate above 0.999."""
    parts, truth = TRUTHS[name]
    transforms = [TransformFile(write_composite(tmp_path / "x.h5", parts()))]
    wanted = truth(centres())
    affine, shape = around(wanted, 2.0, turn=0.4)
    # Coordinates as values: linear interpolation gives the place itself.
    where = write_run(tmp_path / "where.nii.gz", affine, shape, lambda x: x.T)
    places, covered, method = read(where, transforms)
    assert method == "linear"
    assert covered.all()
    assert np.linalg.norm(places.T - wanted, axis=1).max() < 0.05
    run = write_run(tmp_path / "run.nii.gz", affine, shape)
    frames, _, _ = read(run, transforms)
    expected = phantom(wanted)
    for frame, expected_frame in zip(frames, expected, strict=True):
        assert np.corrcoef(frame, expected_frame)[0, 1] > 0.999
    assert np.corrcoef(frames.ravel(), phantom(centres()).ravel())[0, 1] < 0.95, (
        "it is not trivial"
    )


def test_a_transform_that_was_changed_is_read_anew(tmp_path):
    """Runs that share transforms share where a grid's voxels lie."""
    voxels, placements = VoxelPlaces(GRID, np.array([3, 40])), []
    for second, shift in enumerate((2.0, 2.0, 5.0)):
        affine = np.eye(4)
        affine[0, 3] = shift
        path = write_text(tmp_path / "x.txt", [affine_part(affine)])
        os.utime(path, (second, second))
        placements.append(
            Placement.through(voxels, [TransformFile(path)]).points - centres()[[3, 40]]
        )
    np.testing.assert_array_equal(placements[0], placements[1])
    assert abs(placements[2] - placements[0]).max() == pytest.approx(3.0)
    shifted = Grid(GRID.shape, GRID.affine + np.eye(4)[:, [3]] * [0, 0, 0, 7])
    moved = Placement.through(
        VoxelPlaces(shifted, voxels.positions), [TransformFile(path)]
    )
    assert np.allclose(
        moved.points - centres(shifted)[[3, 40]], placements[2], atol=1e-5
    )


def test_on_the_lattice_nothing_is_interpolated(tmp_path):
    affine = AFFINE.copy()
    affine[0, 3] += 4
    run = write_run(tmp_path / "run.nii.gz", affine, (25, 27, 23))
    frames, covered, method = read(run)
    assert method == "none"
    assert np.count_nonzero(~covered) == 2 * 27 * 23
    np.testing.assert_array_equal(
        frames[:, covered], phantom(centres()).astype(np.float32)[:, covered]
    )


# --- left and right


def orders() -> list[np.ndarray]:
    """The 48 ways to store axes: signed permutations (3, 3)."""
    return [
        np.eye(3)[list(order)] * signs
        for order in itertools.permutations(range(3))
        for signs in itertools.product([1, -1], repeat=3)
    ]


def stored(data: np.ndarray, affine: np.ndarray, order: np.ndarray, path: Path) -> Path:
    """Write an image with its axes permuted and flipped, and the affine that goes with it."""
    orientation = np.zeros((3, 2))
    for axis in range(3):
        to = int(np.flatnonzero(order[:, axis])[0])
        orientation[axis] = to, order[to, axis]
    turned = nib.orientations.apply_orientation(data, orientation)
    back = nib.orientations.inv_ornt_aff(orientation, data.shape[:3])
    nib.save(nib.Nifti1Image(turned, affine @ back), path)
    return path


@pytest.mark.parametrize("size", [2.0, 3.0])
@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_a_marker_on_the_left_is_on_the_left_in_every_storage_order(
    tmp_path, size, interpolation
):
    """Left is x < 0; a second, weaker marker in front and a third above tell the other axes."""
    affine, shape = around(centres(), size)
    if size == 2.0:  # on the lattice, as a look-up
        affine, shape = AFFINE, GRID.shape
    points = points_of(affine, shape)
    values = np.zeros(len(points), np.float32)
    for level, place in ((300, (-14, 0, 0)), (200, (0, 14, 0)), (100, (0, 0, 14))):
        values[np.linalg.norm(points - place, axis=1) < 6] = level
    data = np.stack([values.reshape(shape), 2 * values.reshape(shape)], axis=-1)
    first = None
    assert len({order.tobytes() for order in orders()}) == 48
    for number, order in enumerate(orders()):
        frames, _, _ = read(
            stored(data, affine, order, tmp_path / f"{number}.nii"),
            interpolation=interpolation,
        )
        on_left = frames[0] > 250
        front, above = (abs(frames[0] - x) < 40 for x in (200, 100))
        assert np.linalg.norm(centres()[on_left].mean(axis=0) - [-14, 0, 0]) < 0.8, (
            order
        )
        assert centres()[on_left][:, 0].max() < -6
        assert centres()[front][:, 1].mean() > 5
        assert centres()[above][:, 2].mean() > 3
        first = frames if first is None else first
        np.testing.assert_allclose(frames, first, atol=2e-2)


# --- masks, and what is refused


def test_a_mask_is_read_where_the_run_is(tmp_path):
    matrix = small_affine()
    transforms = [TransformFile(write_text(tmp_path / "x.txt", [affine_part(matrix)]))]
    wanted = by_matrix(centres())
    affine, shape = around(wanted, 2.0, turn=0.4)
    points = points_of(affine, shape)
    ball = (np.linalg.norm(points - (5, -3, 2), axis=1) < 15).reshape(shape)
    path = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(ball.astype(np.uint8), affine), path)
    placement = Placement.through(VoxelPlaces(GRID, VOXELS), transforms)
    mask = placement.mask(path)
    distance = np.linalg.norm(wanted - (5, -3, 2), axis=1)
    assert mask[distance < 13.5].all()
    assert not mask[distance > 16.5].any()
    nib.save(nib.Nifti1Image(np.ones((*shape, 2), np.uint8), affine), path)
    with pytest.raises(
        RunError, match=r"has sizes .*Expected: one volume of three dimensions"
    ):
        placement.mask(path)


def test_transforms_to_a_file_whose_forms_differ_are_refused(tmp_path):
    run = write_run(tmp_path / "run.nii", AFFINE, GRID.shape)
    image = nib.load(run)
    moved = AFFINE + 30 * np.eye(4, k=3) * [[1], [0], [0], [0]]
    image.set_sform(AFFINE, 2)
    image.set_qform(moved, 1)
    nib.save(image, tmp_path / "both.nii")
    assert read(tmp_path / "both.nii")[2] == "none"
    same = [TransformFile(write_text(tmp_path / "x.txt", [affine_part(np.eye(4))]))]
    with pytest.raises(
        RunError, match="put a voxel 30 mm apart, and transforms may refer to"
    ):
        read(tmp_path / "both.nii", same)


# --- against ANTs


def test_ants_gives_the_same_series_of_a_real_run(shared, tmp_path):
    """Native space through a composite and a text file: r >= 0.999 in the mask, each frame."""
    ants = pytest.importorskip("ants", reason="antspyx is not installed")
    person = shared / "data/real/fmriprep_like/sub-HAPPYTEST"
    stem = person / "func/sub-HAPPYTEST_task-rest"
    files = [
        person / "anat/sub-HAPPYTEST_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5",
        Path(f"{stem}_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"),
    ]
    bold = Path(f"{stem}_desc-preproc_bold.nii.gz")
    template = shared / "data/mni/MNI_2mm_brain_mask_crop.nii"
    brain = nib.load(template)
    mask, fixed = brain.get_fdata() > 0, ants.image_read(str(template))
    header = read_bold_header(bold)
    placement = Placement.through(
        VoxelPlaces.within(Grid(brain.shape, brain.affine), mask),
        [TransformFile(path) for path in files],
    )
    for frame, (kind, name) in enumerate(
        (("linear",) * 2, ("nearest", "nearestNeighbor"))
    ):
        volume = np.asarray(nib.load(bold).dataobj[..., frame], np.float32)
        nib.save(nib.Nifti1Image(volume, header.affine), tmp_path / "frame.nii")
        moving = ants.image_read(str(tmp_path / "frame.nii"))
        moved = ants.apply_transforms(
            fixed, moving, [str(path) for path in files], name
        )
        wanted = moved.numpy()[mask]
        sampling, _ = placement.in_file(header, kind)
        sampled = sampling.apply(volume.ravel(order="F")[None], 1.0, 0.0)[0]
        assert np.corrcoef(sampled, wanted)[0, 1] >= 0.999
        assert np.quantile(np.abs(sampled - wanted), 0.99) < 1e-2 * np.median(wanted)
