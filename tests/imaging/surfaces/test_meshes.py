"""Surfaces: templates, files of other programs and their faults, and weights of meshes."""

from __future__ import annotations

import re

import nibabel as nib
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from person_surfaces import add_fmriprep_surfaces, in_t1w, template_mesh, write_surface
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.errors import RunError
from bids_dtg.imaging.surfaces.meshes import (
    SIDES,
    encode_metrics,
    fs_lr_on_fsaverage,
    fs_lr_sphere,
    points_on_fs_lr,
    read_midthickness,
    read_surface,
    read_template,
    share_inside,
    sphere_weights,
)
from bids_dtg.imaging.surfaces.vertices import read_own_cortex
from bids_dtg.inputs.run import SurfaceFiles, SurfaceSide, TransformFile

BRAIN = load_bundle("demo").brain_voxels

# --- templates

# Numbers of vertices a side.
SIZES = {"fsLR": 32492, "fsaverage": 10242}


@pytest.mark.parametrize("space", ["fsLR", "fsaverage"])
def test_each_side_lies_on_its_side_in_the_brain_with_triangles_outward(space):
    template = read_template(space)
    for side, sign in zip(SIDES, (-1, 1), strict=True):
        points, faces = template.points[side], template.faces[side]
        assert points.shape == (SIZES[space], 3)
        assert template.cortex[side].shape == (SIZES[space],)
        assert share_inside(points, BRAIN) > 0.99
        assert np.mean(np.sign(points[:, 0]) == sign) > 0.97
        # Each edge of a closed surface without handles lies in two triangles: V - E + F = 2.
        assert len(faces) == 2 * SIZES[space] - 4
        corners = points[faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        volume = (
            normals * corners[:, 0]
        ).sum() / 6  # mm3, positive where normals look outward
        assert 2e5 < volume < 7e5


def test_they_equal_their_sources(shared):
    folder = shared / "data/real/surfaces"
    template = read_template("fsLR")
    for side in SIDES:
        stem = f"tpl-fsLR/tpl-fsLR_desc-regfusion_hemi-{side}_den-32k_midthickness.surf.gii"
        points, faces, _ = read_surface(folder / stem)
        np.testing.assert_array_equal(template.points[side], points)
        same = np.sort(template.faces[side], axis=1) == np.sort(faces, axis=1)
        assert same.all()
        roi = (
            nib.load(folder / f"tpl-fsLR/{side}.atlasroi.32k_fs_LR.shape.gii")
            .darrays[0]
            .data
            > 0
        )
        np.testing.assert_array_equal(template.cortex[side], roi)
        sphere, *_ = read_surface(
            folder / f"tpl-fsLR/tpl-fsLR_hemi-{side}_den-32k_sphere.surf.gii"
        )
        np.testing.assert_array_equal(fs_lr_sphere(side), sphere)
        stem = f"tpl-fsaverage/tpl-fsaverage_desc-regfusion_hemi-{side}_den-10k_midthickness"
        points, faces, _ = read_surface(folder / f"{stem}.surf.gii")
        np.testing.assert_array_equal(read_template("fsaverage").points[side], points)
        np.testing.assert_array_equal(read_template("fsaverage").faces[side], faces)


# --- files

POINTS = np.eye(4, 3, dtype=np.float32)
FACES = np.array([[0, 1, 2], [1, 2, 3]], np.int32)


def surface(folder, points, faces):
    arrays = [
        nib.gifti.GiftiDataArray(points, intent="NIFTI_INTENT_POINTSET"),
        nib.gifti.GiftiDataArray(faces, intent="NIFTI_INTENT_TRIANGLE"),
    ]
    nib.save(nib.gifti.GiftiImage(darrays=arrays), folder / "mesh.surf.gii")
    return folder / "mesh.surf.gii"


def test_what_has_no_triangles_in_space_is_refused(tmp_path):
    path = tmp_path / "mesh.surf.gii"
    with pytest.raises(RunError, match=r"mesh\.surf\.gii cannot be read: No such file"):
        read_surface(path)
    for make in (
        lambda: surface(tmp_path, POINTS[:, :2], FACES),
        lambda: surface(tmp_path, POINTS, FACES[:, :2]),
        lambda: path.write_bytes(encode_metrics(np.ones((1, 50)), "L", names=["ones"])),
    ):
        make()
        with pytest.raises(RunError, match="no points and triangles"):
            read_surface(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: "<html></html>", "has no GIFTI element"),
        (lambda text: "no surface", "cannot be read"),
        (lambda text: text.replace("GZipBase64Binary", "Zip"), "cannot be read"),
        (lambda text: re.sub("<Data>[^<]*", "<Data>", text), "cannot be read"),
        (
            lambda text: text.replace("GZipBase64Binary", "ExternalFileBinary").replace(
                'ExternalFileName=""', 'ExternalFileName="mesh.surf.gii"'
            ),
            "cannot be read: it has its values in another file",
        ),
        (
            lambda text: text.replace('Dimensionality="2"', 'Dimensionality="3"'),
            "cannot be read",
        ),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, change, why):
    path = surface(tmp_path, POINTS, FACES)
    path.write_text(change(path.read_text()))
    with pytest.raises(
        RunError, match=rf"mesh\.surf\.gii {why}.*Expected: a GIFTI file"
    ):
        read_surface(path)


# --- a participant's surfaces in the model's space


def _files(anat, *, native=False):
    stem = "sub-01_hemi-{}"
    mesh = "" if native else "_space-fsLR_den-32k"
    sphere_names = (
        ["_space-fsLR_desc-msmsulc_sphere", "_desc-reg_sphere"] if native else []
    )
    sides = {}
    for side in SIDES:
        names = [
            f"{stem.format(side)}{name}.surf.gii"
            for name in (f"{mesh}_midthickness", *sphere_names)
        ]
        surface, *spheres = (anat / name for name in names)
        sides[side] = SurfaceSide((surface,), *spheres)
    transform = TransformFile(
        anat / "sub-01_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.txt"
    )
    return SurfaceFiles("a test", sides, (transform,))


@pytest.mark.slow
@pytest.mark.parametrize("native", [False, True], ids=["fsLR", "native mesh"])
def test_points_come_back_from_the_persons_space(tmp_path, native):
    anat = add_fmriprep_surfaces(tmp_path, "01", native=native)
    points = read_midthickness(_files(anat, native=native), BRAIN)
    for side in SIDES:
        np.testing.assert_allclose(points[side], template_mesh(side)[0], atol=1e-3)


def test_points_in_another_space_than_the_name_says_are_refused(tmp_path):
    anat = add_fmriprep_surfaces(tmp_path, "01")
    t1w_as_template = SurfaceFiles("a test", _files(anat).sides)
    with pytest.raises(
        RunError, match=r"hemi-L.* has 9?\d\.\d% of its vertices in the brain mask"
    ):
        read_midthickness(t1w_as_template, BRAIN)
    for side in SIDES:  # as XCP-D writes them: moved to the template before
        path = _files(anat).sides[side].files[0]
        write_surface(path, *template_mesh(side))
    with pytest.raises(RunError, match=r"in another space than its name says"):
        read_midthickness(_files(anat), BRAIN)


def test_another_mesh_is_refused(tmp_path):
    anat = add_fmriprep_surfaces(tmp_path, "01")
    path = _files(anat).sides["L"].files[0]
    write_surface(path, in_t1w(template_mesh("L")[0][:99]), np.array([[0, 1, 2]]))
    with pytest.raises(RunError, match=r"hemi-L.* has 99 vertices\. Expected: 32492"):
        read_midthickness(_files(anat), BRAIN)


@pytest.mark.slow
def test_a_sphere_of_another_mesh_is_refused(tmp_path):
    anat = add_fmriprep_surfaces(tmp_path, "01", native=True)
    write_surface(
        _files(anat, native=True).sides["L"].files[1],
        fs_lr_sphere("L")[:50],
        [[0, 1, 2]],
    )
    with pytest.raises(RunError, match=r"has 50 vertices\. Expected: 32492"):
        read_midthickness(_files(anat, native=True), BRAIN)


@pytest.mark.slow
@pytest.mark.parametrize(
    "copied", [False, True], ids=["alone", "also under fsLR's name"]
)
def test_fsaverages_sphere_leads_to_the_same_points(tmp_path, copied):
    anat = add_fmriprep_surfaces(tmp_path, "01", native=True)
    files = _files(anat, native=True)
    for side in SIDES:
        surface, sphere, fsaverage_sphere = files.sides[side].files
        order = np.random.default_rng(1).permutation(32492)  # as the builder's
        write_surface(
            fsaverage_sphere,
            fs_lr_on_fsaverage(side)[order],
            read_surface(fsaverage_sphere)[1],
        )
        # fMRIPrep 23.1.0 and 23.1.1 wrote a copy of it instead of fsLR's.
        sphere.write_bytes(fsaverage_sphere.read_bytes())
        files.sides[side] = SurfaceSide(
            (surface,), sphere if copied else None, fsaverage_sphere
        )
    points = read_midthickness(files, BRAIN)
    for side in SIDES:
        np.testing.assert_allclose(points[side], template_mesh(side)[0], atol=1e-3)


def _rewrite(path, change):
    write_surface(path, *change(*read_surface(path)[:2]))


def _shuffled(points, faces):
    return np.random.default_rng(0).permutation(points), faces


def _exchanged(anat):
    left_file, right_file = (_files(anat).sides[side].files[0] for side in SIDES)
    content = left_file.read_bytes()
    left_file.write_bytes(right_file.read_bytes())
    right_file.write_bytes(content)


def _both_left(anat):
    left_file, right_file = (_files(anat).sides[side].files[0] for side in SIDES)
    right_file.write_bytes(left_file.read_bytes())


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (
            _exchanged,
            r"hemi-L.* of its vertices on the side that its name says\. Expected: at lea",
        ),
        (_both_left, r"hemi-R.* has [0-9.]+% of its vertices on the side"),
        (
            _shuffled,
            r"hemi-L.* of its vertices within 30 mm of the template's\. Expected: at le",
        ),
        (
            lambda points, faces: (points[::-1], faces),
            r"within 30 mm of the template's",
        ),
        (
            lambda points, faces: (np.where(points > 60, np.nan, points), faces),
            "are not finite",
        ),
    ],
    ids=["exchanged", "both left", "shuffled", "backwards", "NaN"],
)
def test_vertices_that_are_not_where_the_template_has_them_are_refused(
    tmp_path, damage, why
):
    anat = add_fmriprep_surfaces(tmp_path, "01")
    if damage in (_exchanged, _both_left):
        damage(anat)
    else:
        _rewrite(_files(anat).sides["L"].files[0], damage)
    with pytest.raises(RunError, match=why):
        read_midthickness(_files(anat), BRAIN)


def test_both_sides_are_named_where_vertices_of_one_move_both(tmp_path):
    files = _files(add_fmriprep_surfaces(tmp_path, "01"))
    (right,) = files.sides["R"].files
    points, faces, _ = read_surface(right)
    points[0] = 1e6
    write_surface(right, points, faces)
    with pytest.raises(RunError, match=r"hemi-L.*, aligned together with its other"):
        read_own_cortex(files)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "change", "why"),
    [
        (0, _shuffled, "within 30 mm of the template's"),
        (
            0,
            lambda points, faces: (points, faces[::3]),
            r"has \d+ triangles\. Expected: 64980, ",
        ),
        (
            0,
            lambda points, faces: (points, faces + 9),
            "triangles of vertices 9 to 32500. Expe",
        ),
        (1, _shuffled, "within 30 mm of the template's"),
        (
            1,
            lambda sphere, faces: (sphere * [-1, 1, 1], faces),
            "within 30 mm of the template's",
        ),
        (
            1,
            lambda sphere, faces: (sphere + np.array([30, 0, 0]), faces),
            "vertices 70 to 130 mm",
        ),
        (1, lambda sphere, faces: (0 * sphere, faces), "has vertices 0 to 0 mm from 0"),
        (1, lambda sphere, faces: (sphere * np.nan, faces), "are not finite"),
    ],
    ids=[
        "shuffled",
        "third",
        "beyond",
        "shuffled sphere",
        "other side",
        "off centre",
        "a point",
        "NaN",
    ],
)
def test_meshes_that_lead_elsewhere_are_refused(tmp_path, which, change, why):
    anat = add_fmriprep_surfaces(tmp_path, "01", native=True)
    _rewrite(_files(anat, native=True).sides["L"].files[which], change)
    with pytest.raises(RunError, match=why):
        read_midthickness(_files(anat, native=True), BRAIN)


def test_a_real_transform(shared):
    real = shared / "data/real"
    anat = real / "surfaces/sub-HAPPYTEST/anat"
    name = "sub-HAPPYTEST_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5"
    stem = str(anat / "sub-HAPPYTEST_hemi-{}_space-fsLR_den-32k_midthickness.surf.gii")
    sides = {side: SurfaceSide((type(anat)(stem.format(side)),)) for side in SIDES}
    transform = TransformFile(real / "fmriprep_like/sub-HAPPYTEST/anat" / name)
    meshes = read_midthickness(SurfaceFiles("a test", sides, (transform,)), BRAIN)
    reference = np.load(real / "surfaces/reference/sub-HAPPYTEST_points.npz")
    for side in SIDES:
        np.testing.assert_allclose(
            meshes[side], reference[f"fsLR32k_{side}_mni"], atol=1e-4
        )


# --- from one mesh to another


def _sphere(rng, vertices):
    points = rng.normal(size=(vertices, 3))
    points *= 100 / np.linalg.norm(points, axis=1, keepdims=True)
    return points, ConvexHull(points).simplices.astype(np.intp)


@pytest.mark.slow
@given(st.integers(0, 10**6), st.integers(12, 300))
@example(99999, 12)
def test_points_are_where_their_weights_say(seed, vertices):
    rng = np.random.default_rng(seed)
    sphere, faces = _sphere(rng, vertices)
    assume(
        ConvexHull(sphere).equations[:, 3].max() < 0
    )  # else it does not surround its centre
    wanted, _ = _sphere(rng, 50)
    weights = sphere_weights(sphere, faces, wanted)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights.data.min() >= 0
    directions = weights @ sphere
    directions *= 100 / np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(directions, wanted, atol=1e-6)


@pytest.mark.parametrize("side", ["L", "R"])
def test_it_equals_workbench(shared, side):
    anat = shared / "data/real/surfaces/sub-HAPPYTEST/anat"
    stem = f"sub-HAPPYTEST_hemi-{side}"
    points, faces, _ = read_surface(anat / f"{stem}_midthickness.surf.gii")
    sphere, *_ = read_surface(anat / f"{stem}_space-fsLR_desc-reg_sphere.surf.gii")
    expected, *_ = read_surface(
        anat / f"{stem}_space-fsLR_den-32k_midthickness.surf.gii"
    )
    moved = sphere_weights(sphere, faces, fs_lr_sphere(side)) @ points
    assert np.linalg.norm(moved - expected, axis=1).max() < 0.001


def test_a_point_in_a_long_triangle_beside_many_small_ones():
    rng = np.random.default_rng(0)
    cap = np.array([0.0, 0.3, 1.0]) + 0.02 * rng.normal(size=(25, 3))
    sphere = np.vstack([np.eye(3), -np.eye(3), cap])
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    faces = ConvexHull(sphere).simplices.astype(np.intp)
    wanted = np.array([[0.0, 0.3, 1.0]]) + 0.08 * np.array(
        [[1, 0, 0], [-1, 0, 0], [0, 1, 0]]
    )
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    directions = sphere_weights(sphere, faces, wanted) @ sphere
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(directions, wanted, atol=1e-9)


def test_freesurfers_vertices_follow_the_axes_of_its_image(tmp_path):
    """As FreeSurfer's own matrices say, from tkregister's coordinates to the scanner's."""
    sphere = np.vstack([np.eye(3), -np.eye(3)])
    faces = ConvexHull(sphere).simplices
    points = np.random.default_rng(0).normal(size=sphere.shape)
    header = nib.freesurfer.mghformat.MGHHeader()
    header["dims"], header["delta"] = [256, 240, 200, 1], [1.0, 1.0, 1.2]
    usual = header.get_vox2ras_tkr()[:3, :3] / header["delta"]
    turn = Rotation.from_euler("xyz", [20, -30, 10], degrees=True).as_matrix()
    placed = []
    for axes, centre in ((usual, np.zeros(3)), (turn @ usual, [3.0, -12, 18])):
        names = dict(zip(("xras", "yras", "zras"), axes.T, strict=True))
        volume = {"head": [2, 0, 20], "valid": "1", "filename": "T1.mgz", **names}
        volume |= {"volume": header["dims"][:3], "voxelsize": header["delta"]}
        volume["cras"] = centre
        for name, mesh in (("white", points), ("pial", points), ("sphere.reg", sphere)):
            path = tmp_path / f"lh.{name}"
            nib.freesurfer.write_geometry(path, mesh, faces, volume_info=volume)
        white, pial, reg = (
            tmp_path / f"lh.{n}" for n in ("white", "pial", "sphere.reg")
        )
        placed.append(points_on_fs_lr(SurfaceSide((white, pial), None, reg), "L")[0])
    header["Mdc"], header["Pxyz_c"] = (turn @ usual).T, centre
    to_scanner = header.get_vox2ras() @ np.linalg.inv(header.get_vox2ras_tkr())
    wanted = nib.affines.apply_affine(to_scanner, placed[0])
    np.testing.assert_allclose(placed[1], wanted, atol=1e-4)
