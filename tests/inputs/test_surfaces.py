"""Which of a participant's surfaces are read, by the names that programs give them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fmriprep_dataset import describe_dataset
from person_surfaces import (
    TO_T1W,
    add_fmriprep_surfaces,
    add_hcp_surfaces,
    add_transform,
    template_mesh,
    write_surface,
)
from scipy.spatial.transform import Rotation

from bids_dtg import load_bundle
from bids_dtg.errors import RunError
from bids_dtg.imaging.surfaces.meshes import SIDES, read_midthickness
from bids_dtg.imaging.surfaces.vertices import placed_surfaces
from bids_dtg.inputs.anatomy import Anatomy, find_surfaces
from bids_dtg.inputs.dataset import InputDataset
from bids_dtg.inputs.run import SeveralFilesError
from bids_dtg.inputs.templateflow import TemplateFlow

SPACE = "MNI152NLin6Asym"


def _dataset(root, input_type="fmriprep", pipeline="fMRIPrep"):
    describe_dataset(root, pipeline=pipeline)
    description = json.loads((root / "dataset_description.json").read_text())
    return InputDataset(root, "test", description, root, input_type)


def _find(dataset, participant="01", session=None, home=None):
    flow = TemplateFlow(home)
    anatomy = Anatomy(dataset.root, participant, session, flow)
    return find_surfaces(dataset, anatomy, SPACE)


def _names(files):
    return {
        side: [path.name for path in side_files.files]
        for side, side_files in files.sides.items()
    }


def _touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("content")


@pytest.mark.slow
def test_fslr_mesh_is_taken_before_the_native_one(tmp_path):
    dataset = _dataset(tmp_path)
    add_fmriprep_surfaces(tmp_path, "01", native=True)
    native = _find(dataset)
    assert native.reason == "midthickness of sub-01/anat, moved to fsLR's mesh"
    assert _names(native)["R"] == [
        "sub-01_hemi-R_midthickness.surf.gii",
        "sub-01_hemi-R_space-fsLR_desc-msmsulc_sphere.surf.gii",
        "sub-01_hemi-R_desc-reg_sphere.surf.gii",
    ]
    add_fmriprep_surfaces(tmp_path, "01")
    files = _find(dataset)
    assert files.reason == "midthickness on fsLR's mesh of sub-01/anat"
    assert _names(files)["L"] == [
        "sub-01_hemi-L_space-fsLR_den-32k_midthickness.surf.gii"
    ]
    assert [transform.path.name for transform in files.transforms] == [
        "sub-01_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.txt"
    ]
    assert len(files.inputs) == 3


@pytest.mark.parametrize("folder", ["anat", "ses-a/anat", "ses-b/anat"])
@pytest.mark.parametrize("session", [None, "a"])
def test_anatomy_of_the_session_of_the_person_or_of_the_only_session(
    tmp_path, folder, session
):
    anat = tmp_path / "sub-01" / folder
    names = [
        f"sub-01_hemi-{side}_space-fsLR_den-32k_midthickness.surf.gii" for side in "LR"
    ]
    _touch(anat, *names)
    add_transform(anat, "01")
    assert _find(_dataset(tmp_path), session=session).sides["L"].files == (
        anat / names[0],
    )


def test_registration_spheres_of_older_and_newer_names(tmp_path):
    anat = tmp_path / "sub-01" / "anat"
    _touch(anat, *[f"sub-01_hemi-{side}_midthickness.surf.gii" for side in "LR"])
    add_transform(anat, "01")
    dataset = _dataset(tmp_path)
    assert not _find(dataset).sides  # fMRIPrep before 23.1
    _touch(
        anat,
        *[f"sub-01_hemi-{side}_space-fsLR_desc-reg_sphere.surf.gii" for side in "LR"],
    )
    assert _names(_find(dataset))["L"][1:] == [
        "sub-01_hemi-L_space-fsLR_desc-reg_sphere.surf.gii",
    ]


def test_one_side_alone_is_none(tmp_path):
    anat = add_fmriprep_surfaces(tmp_path, "01")
    (anat / "sub-01_hemi-R_space-fsLR_den-32k_midthickness.surf.gii").unlink()
    files = _find(_dataset(tmp_path))
    assert not files.sides
    assert "sub-01 has no midthickness surfaces on the fsLR mesh" in files.reason


SMALL = [
    f"sub-01_{acquisition}hemi-{side}_{name}.surf.gii"
    for acquisition in ("", "acq-a_")
    for side in "LR"
    for name in ("midthickness", "space-fsLR_desc-msmsulc_sphere")
]
DENSE = [
    f"sub-01_{acquisition}hemi-{side}_space-fsLR_den-32k_midthickness.surf.gii"
    for acquisition in ("", "acq-a_")
    for side in "LR"
]


@pytest.mark.parametrize("names", [DENSE, SMALL], ids=["fsLR", "native"])
def test_two_surfaces_of_one_hemisphere_are_refused_with_both_names(tmp_path, names):
    anat = tmp_path / "sub-01" / "anat"
    _touch(anat, *names)
    add_transform(anat, "01")
    with pytest.raises(SeveralFilesError) as caught:
        _find(_dataset(tmp_path))
    assert all(
        str(anat / name) in caught.value.found
        for name in (names[0], names[-len(names) // 2])
    )


def test_two_surfaces_of_one_hemisphere_of_hcp_are_refused(tmp_path):
    mesh = tmp_path / "100307" / "MNINonLinear" / "fsaverage_LR32k"
    ending = "midthickness_MSMAll.32k_fs_LR.surf.gii"
    _touch(
        mesh,
        *(
            f"{person}.{side}.{ending}"
            for person in ("100307", "100408")
            for side in "LR"
        ),
    )
    dataset = InputDataset(tmp_path, "test", {}, tmp_path, "hcp")
    with pytest.raises(
        SeveralFilesError, match=r"100307\.L\.mid.* and .*100408\.L\.mid"
    ):
        _find(dataset, "100307")


def test_transforms_of_the_other_template_are_composed(tmp_path, monkeypatch):
    anat = add_fmriprep_surfaces(tmp_path, "01")
    next(anat.glob("*xfm*")).unlink()
    dataset = _dataset(tmp_path)
    assert (
        "has no sub-01_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5"
        in _find(dataset).reason
    )
    persons_transform = add_transform(anat, "01", "MNI152NLin2009cAsym")
    home = tmp_path / "templateflow"
    monkeypatch.delenv("DTG_OFFLINE", raising=False)
    flow = TemplateFlow(home, download=True, plans=True)
    planned = find_surfaces(dataset, Anatomy(dataset.root, "01", None, flow), SPACE)
    assert (
        "is missing or empty: TemplateFlow's transform" in planned.transforms[1].missing
    )
    assert planned.transforms[1].path not in planned.inputs
    files = _find(dataset, home=home)
    assert not files.sides
    assert "cannot be brought to MNI152NLin6Asym" in files.reason
    assert (
        "tpl-MNI152NLin2009cAsym_from-MNI152NLin6Asym_mode-image_xfm.h5" in files.reason
    )
    between = "tpl-MNI152NLin2009cAsym_from-MNI152NLin6Asym_mode-image_xfm.h5"
    _touch(home / "tpl-MNI152NLin2009cAsym", between)
    assert [
        transform.path.name for transform in _find(dataset, home=home).transforms
    ] == [
        persons_transform.name,
        between,
    ]


@pytest.mark.parametrize("input_type", ["xcpd", "fmriprep"])
def test_surfaces_of_xcpd_may_lie_in_the_template_or_in_t1w_space(tmp_path, input_type):
    dataset = _dataset(tmp_path, input_type, "XCP-D")
    anat = add_fmriprep_surfaces(tmp_path, "01")
    files = _find(dataset)
    assert not files.transforms
    (transform,) = files.in_t1w.transforms
    assert transform.path.name == f"sub-01_from-{SPACE}_to-T1w_mode-image_xfm.txt"
    assert files.in_t1w.sides == files.sides
    names = [
        f"sub-01_hemi-{side}_space-fsLR_den-32k_desc-hcp_midthickness.surf.gii"
        for side in "LR"
    ]
    _touch(anat, *names)
    assert _names(_find(dataset))["L"] == names[:1]
    # fMRIPrep writes no such file: next to its own ones it is somebody else's.
    assert _names(_find(_dataset(tmp_path)))["L"] != names[:1]


@pytest.mark.slow
def test_hcp_folders_msmall_first_and_never_t1w(tmp_path):
    dataset = InputDataset(tmp_path, "test", {}, tmp_path, "hcp")
    mesh = add_hcp_surfaces(tmp_path / "100307", "midthickness")
    files = _find(dataset, "100307")
    assert files.reason == "midthickness of 100307/MNINonLinear/fsaverage_LR32k"
    add_hcp_surfaces(tmp_path / "100307")
    files = _find(dataset, "100307")
    assert files.sides["L"].files == (
        mesh / "100307.L.midthickness_MSMAll.32k_fs_LR.surf.gii",
    )
    assert not files.transforms
    for path in mesh.glob("1*"):
        path.with_name(
            f"._{path.name}"
        ).touch()  # Apple's, beside each file on a network drive
    assert _find(dataset, "100307") == files
    damaged = next(
        add_hcp_surfaces(tmp_path / "100408").glob("*.L.midthickness_MSMAll.*")
    )
    (mesh / damaged.name).write_bytes(b"a copy gone wrong")
    assert _find(dataset, "100307") == files
    assert not _find(dataset, "100307", session="V1").sides
    for path in mesh.iterdir():
        path.unlink()
    files = _find(dataset, "100307")
    assert not files.sides
    assert files.reason.startswith(
        "sub-100307 has no midthickness surfaces on the fsLR mesh"
    )


def test_content_that_is_elsewhere_is_refused(tmp_path):
    anat = add_fmriprep_surfaces(tmp_path, "01")
    path = anat / "sub-01_hemi-L_space-fsLR_den-32k_midthickness.surf.gii"
    path.unlink()
    path.symlink_to(tmp_path / "annex" / "gone")
    with pytest.raises(RunError, match=r"sub-01: .*hemi-L.* is a broken link"):
        _find(_dataset(tmp_path))


def _write_xcpd(root, version, moved):
    """Write the template's surfaces, moved by an affine transform, under XCP-D's names."""
    describe_dataset(root, pipeline="XCP-D", version=version)
    for side in SIDES:
        points, faces = template_mesh(side)
        name = f"sub-01_hemi-{side}_space-fsLR_den-32k_midthickness.surf.gii"
        path = root / "sub-01/anat" / name
        write_surface(path, points @ moved[:3, :3].T + moved[:3, 3], faces)
    description = json.loads((root / "dataset_description.json").read_text())
    return InputDataset(root, "test", description, root, "xcpd")


def _moved(stretch=1.0, degrees=0.0, mm=0.0):
    affine = np.diag([stretch, 1, 1, 1.0])
    affine[:3, :3] = (
        Rotation.from_euler("x", degrees, degrees=True).as_matrix() @ affine[:3, :3]
    )
    middle = np.concatenate([template_mesh(side)[0] for side in SIDES]).mean(axis=0)
    affine[:3, 3] = middle - affine[:3, :3] @ middle + [0, mm, 0]
    return affine


@pytest.mark.parametrize(
    ("version", "moved", "where"),
    [
        ("0.11.0", {"stretch": 0.98, "degrees": 2, "mm": 3}, "template"),
        ("0.7.1", {"stretch": 0.92}, "T1w"),
        ("0.7.1", {"degrees": 7}, "T1w"),
        ("0.7.1", {"mm": 9}, "T1w"),
        ("0.10.3", {"degrees": 4}, "template"),
        ("0.10.4", {"degrees": 4}, "T1w"),
        ("0.10.3", {"mm": 6}, "template"),
        ("0.11.0rc1", {"stretch": 1.045}, "T1w"),
    ],
)
def test_the_meshes_of_xcpd_show_their_space_and_else_its_version(
    tmp_path, version, moved, where
):
    dataset = _write_xcpd(tmp_path, version, _moved(**moved))
    add_transform(tmp_path / "sub-01/anat", "01")
    files = placed_surfaces(_find(dataset))
    assert [len(files.sides), len(files.transforms)] == [2, where == "T1w"]
    space = "the T1w image" if where == "T1w" else SPACE
    assert f"in the coordinates of {space} by a fit to the template" in files.reason
    by_version = f", and by XCP-D {version}: " in files.reason
    assert by_version == (moved in ({"degrees": 4}, {"mm": 6}, {"stretch": 1.045}))


@pytest.mark.parametrize("link", ["none", "link", "given"])
def test_surfaces_in_t1w_space_need_the_transform_of_the_preprocessing(tmp_path, link):
    root, fmriprep = tmp_path / "xcp_d", tmp_path / "fmriprep"
    dataset = _write_xcpd(root, "0.11.0", TO_T1W)
    (fmriprep / "sub-01/anat").mkdir(parents=True)
    transform = add_transform(fmriprep / "sub-01/anat", "01")
    if link == "link":
        links = {"preprocessed": "../fmriprep", "templateflow": "https://there"}
        description = dataset.description | {"DatasetLinks": links}
        (root / "dataset_description.json").write_text(json.dumps(description))
    preprocessed = fmriprep if link == "given" else None
    flow = TemplateFlow(None)
    anatomy = Anatomy(dataset.root, "01", None, flow)
    surfaces = find_surfaces(dataset, anatomy, SPACE, preprocessed)
    files = placed_surfaces(surfaces)
    if link == "none":
        assert not files.sides
        assert "there is no transform from T1w to MNI152NLin6Asym" in files.reason
        return
    assert files.transforms[0].path.resolve() == transform
    assert files.transforms[0].path in surfaces.inputs
    points = read_midthickness(files, load_bundle("demo").brain_voxels)
    np.testing.assert_allclose(points["L"], template_mesh("L")[0], atol=1e-3)
