"""Transforms of ITK: what their files do to points, and what is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from itk_files import affine_part, field_part, itk_text, write_composite, write_text

from bids_dtg.errors import RunError
from bids_dtg.imaging.transforms import DisplacementField, map_points, read_transforms
from bids_dtg.inputs.run import TransformFile

POINTS = np.random.default_rng(0).uniform([-60, -90, -50], [60, 60, 70], (400, 3))
# An oblique lattice of 5 mm around the points.
NODES = np.array(
    [[4.9, -0.8, 0.3, -85], [0.8, 4.9, 0.2, -150], [-0.3, -0.2, 5, -85], [0, 0, 0, 1]]
)
SHAPE = (48, 48, 42)


def random_affine(seed: int = 0, scale: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] += rng.normal(scale=scale, size=(3, 3))
    matrix[:3, 3] = rng.normal(scale=8, size=3)
    return matrix


def bend(points: np.ndarray) -> np.ndarray:
    """Displace by up to 6 mm, over some 12 cm; points and result (n, 3), RAS+ mm."""
    x, y, z = (points / 20).T
    return np.stack(
        [6 * np.sin(y) * np.cos(z), 4 * np.cos(x), 5 * np.sin(x + z)], axis=1
    )


def bend_vectors() -> np.ndarray:
    """(i, j, k, 3) displacements at the nodes."""
    indices = np.indices(SHAPE).reshape(3, -1).T
    return bend(indices @ NODES[:3, :3].T + NODES[:3, 3]).reshape(*SHAPE, 3)


def applied(
    path: Path, *, inverse: bool = False, points: np.ndarray = POINTS
) -> np.ndarray:
    return map_points(points, read_transforms([TransformFile(path, inverse)]))


def millimetres(points: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(points - wanted, axis=1).max())


# --- what a file does to points


@pytest.mark.parametrize("centre", [(0, 0, 0), (12, -30, 4)])
@pytest.mark.parametrize("write", [write_text, write_composite])
def test_an_affine_about_any_centre(tmp_path, write, centre):
    matrix = random_affine()
    path = write(tmp_path / "x", [affine_part(matrix, centre)])
    wanted = map_points(POINTS, [matrix])
    assert millimetres(applied(path), wanted) < 1e-9
    back = applied(path, inverse=True, points=wanted)
    assert millimetres(back, POINTS) < 1e-9


def rotation(axis: int, angle: float) -> np.ndarray:
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[second, first], matrix[first, second] = np.sin(angle), -np.sin(angle)
    return matrix


@pytest.mark.parametrize(("flag", "order"), [((), "zxy"), ((0,), "zxy"), ((1,), "zyx")])
def test_euler_angles_turn_in_the_order_of_itk(tmp_path, flag, order):
    angles = np.array([0.3, -0.2, 0.5])
    centre = np.array([5.0, 6, 7])
    shift = np.array([1.0, 2, 3])
    part = (
        "Euler3DTransform_double_3_3",
        np.hstack([angles, shift]),
        np.hstack([centre, flag]),
    )
    turned = applied(write_text(tmp_path / "x.txt", [part]))
    turn = np.linalg.multi_dot(
        [rotation("xyz".index(a), angles["xyz".index(a)]) for a in order]
    )
    lps = POINTS * [-1, -1, 1]
    wanted = ((lps - centre) @ turn.T + centre + shift) * [-1, -1, 1]
    assert millimetres(turned, wanted) < 1e-9


@pytest.mark.parametrize(
    ("kind", "parameters", "moved"),
    [("Translation", [1, 2, 3], [-1, -2, 3]), ("Identity", [], 0)],
)
def test_translations_and_identities(tmp_path, kind, parameters, moved):
    part = (f"{kind}Transform_double_3_3", np.array(parameters, float), np.zeros(0))
    shifted = applied(write_text(tmp_path / "x.txt", [part]))
    np.testing.assert_allclose(shifted, POINTS + moved)


@pytest.mark.parametrize("typo", [False, True])
@pytest.mark.parametrize("order", ["affine first", "field first"])
def test_a_composite_applies_its_last_part_first(tmp_path, order, typo):
    matrix = random_affine(scale=0.03)
    parts = [affine_part(matrix), field_part(bend_vectors(), NODES)]  # the field first
    wanted = map_points(POINTS + bend(POINTS), [matrix])
    if order == "affine first":
        parts.reverse()
        moved = map_points(POINTS, [matrix])
        wanted = moved + bend(moved)
    path = write_composite(tmp_path / "x.h5", parts, typo=typo)
    # what is left is the field between its nodes: h^2 / 8 times the second derivative
    assert millimetres(applied(path), wanted) < 0.13
    if order == "field first":
        assert (
            millimetres(applied(path), map_points(POINTS, [matrix]) + bend(POINTS))
            > 0.3
        )


# --- fields of displacements, and transforms one after the other


def field(displacement) -> DisplacementField:
    """Make a field from a function of points (n, 3): nodes 4 mm apart from -50 to 50 mm."""
    affine = np.array([[-4.0, 0, 0, 50], [0, 4, 0, -50], [0, 0, 4, -50], [0, 0, 0, 1]])
    indices = np.indices((26, 26, 26)).reshape(3, -1, order="F").T
    vectors = displacement(indices @ affine[:3, :3].T + affine[:3, 3])
    return DisplacementField((26, 26, 26), affine, vectors * [-1, -1, 1])


@given(st.integers(0, 10**6))
def test_a_field_that_is_linear_in_space_is_exact(seed):
    rng = np.random.default_rng(seed)
    slopes, points = rng.normal(scale=0.1, size=(3, 4)), rng.uniform(-40, 40, (500, 3))
    mapped = field(lambda x: x @ slopes[:, :3].T + slopes[:, 3]).map(points)
    # weights are float32
    np.testing.assert_allclose(
        mapped, points + points @ slopes[:, :3].T + slopes[:, 3], atol=1e-4
    )


def test_points_outside_a_field_stay():
    shift = field(lambda x: np.full_like(x, 3.0))
    # The outermost nodes are at 50 mm; the field ends half a step beyond.
    points = np.array([[51.9, 0, 0], [52.1, 0, 0], [0, -51.9, 0], [0, -52.1, 0]])
    moved = shift.map(points) - points
    np.testing.assert_allclose(
        moved, [[3, 3, 3], [0, 0, 0], [3, 3, 3], [0, 0, 0]], atol=1e-5
    )


def test_the_first_of_a_chain_meets_the_point_first():
    double, point = np.diag([2.0, 2, 2, 1]), np.array([[10.0, 20, 5]])
    shift = field(lambda x: np.tile([1.0, 0, 0], (len(x), 1)))
    np.testing.assert_allclose(
        map_points(point, [shift, double]), [[22, 40, 10]], atol=1e-5
    )
    np.testing.assert_allclose(
        map_points(point, [double, shift]), [[21, 40, 10]], atol=1e-5
    )


# --- against ITK


def real_files(shared: Path) -> list[Path]:
    data = shared / "data" / "real"
    return [
        *sorted(data.glob("templateflow_like/*/*_xfm.h5")),
        *sorted(data.glob("fmriprep_like/*/anat/*_xfm.h5")),
        *sorted(data.glob("fmriprep_like/*/func/*coreg_xfm.txt")),
        data / "transforms" / "affine-antsComposite.h5",
        data / "transforms" / "from-scanner_to-bold_mode-image.tfm",
    ]


def test_itk_maps_points_of_real_files_to_the_same_places(shared):
    ants = pytest.importorskip("ants", reason="antspyx is not installed")
    files = real_files(shared)
    assert len(files) == 9
    points = POINTS[:150]
    for path in files:
        transform = ants.read_transform(str(path))
        wanted = np.array([transform.apply_to_point(p) for p in points * [-1, -1, 1]])
        # ITK keeps these in float32
        assert millimetres(applied(path, points=points), wanted * [-1, -1, 1]) < 1e-4, (
            path
        )


@pytest.mark.slow
def test_nitransforms_agrees_on_real_composites(shared):
    manip = pytest.importorskip("nitransforms.manip")
    data = shared / "data" / "real"
    affine = data / "transforms" / "affine-antsComposite.h5"
    path = next(data.glob("templateflow_like/tpl-MNI152NLin6Asym/*_xfm.h5"))
    for file, tolerance in (
        (affine, 1e-4),
        (path, 0.25),
    ):  # its fields are cubic between nodes
        chain = manip.TransformChain(manip.load(file, fmt="itk").transforms)
        assert millimetres(applied(file), chain.map(POINTS)) < tolerance, file


# --- what is refused


def assert_refused(path: Path, fact: str, *, inverse: bool = False) -> None:
    with pytest.raises(RunError, match=fact) as caught:
        read_transforms([TransformFile(path, inverse)])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("#Insight Transform File V1.0\n", "holds no transform"),
        ("something else\n", "does not begin with"),
        (itk_text([affine_part(np.eye(4))] * 3), "a list of 3 transforms"),
        (
            itk_text([("BSplineTransform_double_3_3", np.zeros(3), np.zeros(3))]),
            "kind BSpline",
        ),
        (
            itk_text([("AffineTransform_double_2_2", np.zeros(6), np.zeros(2))]),
            "three dimensions",
        ),
        (
            itk_text([("AffineTransform_double_3_3", np.zeros(11), np.zeros(3))]),
            "12 param.* 11",
        ),
        (itk_text([affine_part(np.diag([1, np.nan, 1, 1]))]), "has no inverse"),
        (itk_text([affine_part(np.diag([1.0, 1, 0, 1]))]), "has no inverse"),
        (itk_text([affine_part(np.diag([-1.0, 1, 1, 1]))]), "swaps left and right"),
        (
            itk_text([affine_part(np.eye(4))]).replace(
                "Parameters: 1", "Parameters: one"
            ),
            "float",
        ),
    ],
)
def test_text_that_cannot_be_used(tmp_path, text, fact):
    path = tmp_path / "x.txt"
    path.write_text(text)
    assert_refused(path, fact)


def test_an_inverse_that_does_not_exist(tmp_path):
    path = write_composite(tmp_path / "x.h5", [field_part(bend_vectors(), NODES)])
    assert_refused(path, "a displacement field cannot be inverted", inverse=True)
    flat = write_text(tmp_path / "flat.txt", [affine_part(np.diag([1.0, 1, 0, 1]))])
    assert_refused(flat, "no inverse", inverse=True)


def test_fields_that_cannot_be_used(tmp_path):
    kind, values, fixed = field_part(np.zeros((3, 3, 3, 3)), np.eye(4))
    for part, fact in (
        ((kind, values[:-3], fixed), "nodes have a vector each"),
        (
            (kind, values, np.where(np.arange(18) == 6, 0, fixed)),
            "its grid has a spacing of 0",
        ),
        (
            (kind, values, np.where(np.arange(18) == 7, np.nan, fixed)),
            "its grid has a spacing of 0",
        ),
        (
            (kind, values, fixed * np.where(np.arange(18) < 2, -1, 1)),
            "its grid has -3 x -3 x 3",
        ),
        ((kind, values, fixed[:-1]), "18 fixed parameters"),
        (
            (kind, np.where(np.arange(81) == 9, np.nan, values), fixed),
            "not finite everywhere",
        ),
    ):
        assert_refused(write_composite(tmp_path / "x.h5", [part]), fact)


def test_other_files_are_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = 1
    assert_refused(tmp_path / "other.h5", "TransformGroup")
    cut = write_composite(tmp_path / "cut.h5", [field_part(bend_vectors(), NODES)])
    cut.write_bytes(cut.read_bytes()[:5000])
    assert_refused(cut, "cannot be read as a transform")
    assert_refused(tmp_path / "absent.h5", "cannot be read: No such file")
