"""From which series, and on which surface, a model of parcels reads a run of each release."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import describe_dataset

from bids_dtg.cli.run import main
from bids_dtg.errors import RunError
from bids_dtg.inputs.run import RestRun, SeveralFilesError
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.inputs.templateflow import TemplateFlow

DEFAULT = "MNI152NLin2009cAsym"
SPACE = "MNI152NLin6Asym"
PARCELS = "fsLR parcels"
XFM = "mode-image_xfm"
# What fMRIPrep writes by default, without FreeSurfer.
ANATOMY = (
    *("desc-preproc_T1w.nii.gz", "label-GM_probseg.nii.gz"),
    *(f"from-{DEFAULT}_to-T1w_{XFM}.h5", f"from-T1w_to-{DEFAULT}_{XFM}.h5"),
)
# Surfaces of its releases with FreeSurfer, by hemisphere (sMRIPrep 0.7 to 0.16).
OLD = ("midthickness", "pial", "smoothwm", "inflated")
NEW = ("midthickness", "pial", "white", "inflated")
SPHERES_OF_23 = (*NEW, "desc-reg_sphere", "space-fsLR_desc-reg_sphere")
SURFACES = {
    "20.2": OLD,
    "21.0": OLD,
    "22.1": OLD,
    "23.1.0": SPHERES_OF_23,
    "23.2": (*SPHERES_OF_23, "space-fsLR_desc-msmsulc_sphere"),
    "24.1": (
        *(*NEW, "space-fsaverage_desc-reg_sphere"),
        *("space-fsLR_desc-reg_sphere", "space-fsLR_desc-msmsulc_sphere"),
    ),
    "25.0": (
        *(*NEW, "space-fsaverage_desc-reg_sphere", "space-fsLR_desc-msmsulc_sphere"),
        *("space-fsLR_den-32k_midthickness", "space-fsLR_den-32k_pial"),
    ),
}
WAYS = {
    **dict.fromkeys(
        ("20.2", "21.0", "22.1"), "FreeSurfer's white and pial surfaces of sub-01"
    ),
    **dict.fromkeys(
        ("23.1.0", "23.2", "24.1"), "midthickness of sub-01/anat, moved to fsLR's"
    ),
    "25.0": "midthickness on fsLR's mesh of sub-01/anat",
}


def touch(folder: Path, *names: str, stem: str = "sub-01_") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{stem}{name}").write_text("content")


def add_series(
    root: Path, *middles: str, name: str = "desc-preproc_bold.nii.gz"
) -> None:
    """Add names of a run's series, and their sidecars."""
    for middle in middles:
        path = root / f"sub-01/func/sub-01_task-rest_{middle}{name}"
        touch(path.parent, path.name, stem="")
        sidecar = path.with_name(path.name.partition(".")[0] + ".json")
        sidecar.write_text(json.dumps({"RepetitionTime": 2.0}))


def add_freesurfer(folder: Path, subject: str = "sub-01") -> None:
    for side in ("lh", "rh"):
        touch(folder / subject / "surf", "white", "pial", "sphere.reg", stem=f"{side}.")


def tree_of(folder: Path, version: str, *, freesurfer: bool = True) -> Path:
    """Write the names of fMRIPrep's default output in one of its releases."""
    root = describe_dataset(folder / "fmriprep", version=version)
    add_series(root, f"space-{DEFAULT}_")
    anat = root / "sub-01/anat"
    touch(anat, *ANATOMY)
    if freesurfer:
        touch(
            anat, f"from-T1w_to-fsnative_{XFM}.txt", f"from-fsnative_to-T1w_{XFM}.txt"
        )
        for side in "LR":
            touch(anat, *(f"hemi-{side}_{name}.surf.gii" for name in SURFACES[version]))
        # 20.2 puts FreeSurfer's folder beside its own.
        add_freesurfer(
            folder / "freesurfer"
            if version == "20.2"
            else root / "sourcedata/freesurfer"
        )
    return root


def add_fsaverage(root: Path, version: str) -> list[Path]:
    """Add series as of `--output-spaces fsaverage5`; the entities' order changed in 22.0."""
    names = (
        "space-fsaverage5_hemi-{}_" if version < "22" else "hemi-{}_space-fsaverage5_"
    )
    add_series(root, *map(names.format, "LR"), name="bold.func.gii")
    return sorted((root / "sub-01/func").glob("*_bold.func.gii"))


def find(root: Path, **rule) -> RestRun:
    rule = {"model": PARCELS, "templateflow": TemplateFlow(None), **rule}
    (run,) = find_runs(root, "01", rule=SpaceRule(**rule))
    return run


@pytest.mark.parametrize("version", SURFACES)
def test_own_surfaces_of_each_release(tmp_path, version):
    run = find(tree_of(tmp_path, version))
    assert run.surfaces.reason.startswith(WAYS[version])
    assert run.space_reason.startswith(
        f"{DEFAULT} at the vertices of the person's own surfaces ("
    )
    assert [file.path.name for file in run.surfaces.transforms] == [
        f"sub-01_from-{DEFAULT}_to-T1w_{XFM}.h5"
    ]
    assert run.surfaces.grey_matter.name == "sub-01_label-GM_probseg.nii.gz"
    assert run.surfaces.instead.template == DEFAULT
    assert run.surfaces.instead.reason.startswith(
        f"the template's points in {DEFAULT} are by an"
    )
    is_old = version in ("20.2", "21.0", "22.1")
    to_t1w = [(file.path.name, file.inverse) for file in run.surfaces.to_t1w]
    assert to_t1w == [(f"sub-01_from-T1w_to-fsnative_{XFM}.txt", False)] * is_old
    left_side = run.surfaces.sides["L"]
    assert (left_side.fsaverage_sphere is None) == (version == "25.0")
    assert left_side.midthickness[0] in run.inputs


@pytest.mark.parametrize("version", SURFACES)
def test_the_template_without_freesurfer(tmp_path, version):
    run = find(tree_of(tmp_path, version, freesurfer=False))
    assert not run.surfaces.sides
    assert run.surfaces.template == DEFAULT
    assert (
        "sub-01 has no surfaces with a registration to fsLR or fsaverage"
        in run.surfaces.reason
    )
    assert "error .7 mm in the median" in run.surfaces.reason
    assert run.space_reason == f"{DEFAULT} at the vertices of a template's surface"


def test_a_missing_hemisphere_is_said_to_be_missing(tmp_path):
    root = tree_of(tmp_path, "25.0")
    shutil.rmtree(root / "sourcedata")
    for path in root.rglob("*hemi-R*.surf.gii"):
        path.unlink()
    run = find(root)
    assert "of hemisphere L only" in run.surfaces.reason
    for path in (*root.rglob("*_bold.nii.gz"), *root.rglob("*_boldref.nii.gz")):
        path.unlink()
    add_series(root, "", name="hemi-L_space-fsaverage5_bold.func.gii")
    with pytest.raises(RunError, match=r"one hemisphere only: \S+hemi-L"):
        find(root)


@pytest.mark.slow
@pytest.mark.parametrize(
    "spaces", ["MNI", "MNI fsaverage5", "fsaverage5", "without FreeSurfer"]
)
@pytest.mark.parametrize("version", SURFACES)
def test_the_dry_run_says_the_way_of_each_release(tmp_path, capsys, version, spaces):
    root = tree_of(tmp_path, version, freesurfer=spaces != "without FreeSurfer")
    (volumes,) = root.glob("sub-01/func/*_bold.nii.gz")
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3, 60), np.int16), np.eye(4)), volumes)
    if spaces == "fsaverage5":
        volumes.unlink()
    if "fsaverage5" in spaces:
        frames = [nib.gifti.GiftiDataArray(np.ones(10_242, np.float32))] * 60
        for path in add_fsaverage(root, version):
            nib.save(nib.GiftiImage(darrays=frames), path)
    words = [
        "participant",
        "--model",
        "hcp-glasser",
        "--denoise-strategy",
        "none",
        "--dry-run",
    ]
    assert main([str(root), str(tmp_path / "out"), *words, "--min-minutes", "1"]) == 0
    way = {
        "fsaverage5": "fsaverage5, registered to fsLR",
        "without FreeSurfer": f"{DEFAULT} at the vertices of a template's surface",
    }.get(
        spaces,
        f"{DEFAULT} at the vertices of the person's own surfaces ({WAYS[version]}",
    )
    shown = capsys.readouterr().out
    assert way in shown
    # FreeSurfer's own files are in another space than the T1w image.
    is_of_freesurfer = WAYS[version].startswith("FreeSurfer") and way.endswith(
        WAYS[version]
    )
    assert ("from-T1w_to-fsnative" in shown) == is_of_freesurfer


@pytest.mark.parametrize("freesurfer", [True, False])
def test_series_of_fsaverage_come_after_own_surfaces_and_before_the_template(
    tmp_path, freesurfer
):
    root = tree_of(tmp_path, "24.1", freesurfer=freesurfer)
    for side in "LR":
        add_series(root, f"hemi-{side}_space-fsaverage5_", name="bold.func.gii")
    run = find(root)
    assert (run.surfaces is None) == (not freesurfer)
    if not freesurfer:
        assert run.bold.name == "sub-01_task-rest_hemi-L_space-fsaverage5_bold.func.gii"
        assert run.title == "sub-01_task-rest"
        assert run.tr_seconds == 2.0
        assert sum(path.name.endswith(".func.gii") for path in run.inputs) == 2
    assert find(root, requested="fsaverage5").bold.name.endswith(
        "fsaverage5_bold.func.gii"
    )
    run.bold.with_name(
        "sub-01_task-rest_hemi-R_space-fsaverage5_bold.func.gii"
    ).unlink()
    assert find(root).surfaces is not None  # one hemisphere is none


def test_of_fsaverages_meshes_a_smaller_one_is_read(tmp_path):
    root = tree_of(tmp_path, "24.1", freesurfer=False)
    for space in ("fsaverage", "fsaverage6"):
        names = [f"hemi-{side}_space-{space}_" for side in "LR"]
        add_series(root, *names, name="bold.func.gii")
    assert find(root).bold.name.endswith("space-fsaverage6_bold.func.gii")


def test_freesurfers_folder_in_the_dataset_goes_before_the_one_beside_it(tmp_path):
    root = tree_of(tmp_path, "22.1")
    add_freesurfer(tmp_path / "freesurfer")
    sphere = find(root).surfaces.sides["L"].fsaverage_sphere
    assert sphere.is_relative_to(root / "sourcedata")


def test_the_version_with_the_fewest_steps(tmp_path):
    root = tree_of(tmp_path, "25.0")
    add_series(root, "space-T1w_", f"space-{SPACE}_res-2_", "")
    coreg = "sub-01_task-rest_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"
    touch(root / "sub-01/func", coreg, stem="")
    run = find(root)
    assert run.space == "boldref"
    assert [file.path.name for file in run.surfaces.transforms] == [coreg]
    assert find(root, requested="T1w").surfaces.transforms == ()
    # The template's surface is nearest to the models' template.
    forced = find(root, sample_on="template")
    assert (forced.space, forced.surfaces.template) == (SPACE, SPACE)
    assert (forced.surfaces.sides, forced.surfaces.transforms) == ({}, ())
    assert "requested with --sample-on" in forced.surfaces.reason
    (root / "sub-01/func" / coreg).unlink()
    assert find(root).space == "T1w"


def test_a_transform_of_templateflow_goes_before_the_estimated_one(tmp_path):
    root = tree_of(tmp_path, "25.0", freesurfer=False)
    name = f"tpl-{DEFAULT}/tpl-{DEFAULT}_from-{SPACE}_mode-image_xfm.h5"
    from_default = f"tpl-{SPACE}/tpl-{SPACE}_from-{DEFAULT}_mode-image_xfm.h5"
    for location in (name, from_default):
        (tmp_path / location).parent.mkdir()
        (tmp_path / location).write_text("content")
    run = find(root, templateflow=TemplateFlow(tmp_path, download=True))
    assert run.surfaces.template == SPACE
    assert [file.path for file in run.surfaces.transforms] == [tmp_path / from_default]


def test_freesurfer_in_a_given_folder_and_without_its_transform(tmp_path):
    root = tree_of(tmp_path, "22.1")
    add_freesurfer(tmp_path / "elsewhere")
    in_given_folder = find(root, freesurfer=tmp_path / "elsewhere")
    assert in_given_folder.surfaces.sides["L"].fsaverage_sphere.is_relative_to(
        tmp_path / "elsewhere"
    )
    for path in (root / "sub-01/anat").glob("*fsnative*"):
        path.unlink()
    run = find(root)
    assert not run.surfaces.sides
    assert "has no transform from-fsnative_to-T1w" in run.surfaces.reason


@pytest.mark.parametrize(
    ("transform", "folders", "subject"),
    [
        ("sub-01_", ("sub-01", "sub-01_ses-1"), "sub-01"),
        ("sub-01_", ("sub-01_ses-1",), None),
        ("sub-01_ses-1_", ("sub-01", "sub-01_ses-1"), "sub-01_ses-1"),
        ("sub-01_ses-1_", ("sub-01",), "sub-01"),
    ],
)
def test_freesurfers_folder_is_that_of_the_transforms_session(
    tmp_path, transform, folders, subject
):
    root = describe_dataset(tmp_path / "fmriprep", version="22.1")
    stem = "sub-01_ses-1_"
    series = f"{stem}task-rest_space-{DEFAULT}_desc-preproc_bold.nii.gz"
    touch(root / "sub-01/ses-1/func", series, stem="")
    touch(root / "sub-01/ses-1/anat", *ANATOMY, stem=stem)
    has_session = transform != "sub-01_"
    anat = root / ("sub-01/ses-1/anat" if has_session else "sub-01/anat")
    touch(anat, f"from-fsnative_to-T1w_{XFM}.txt", stem=transform)
    for folder in folders:
        add_freesurfer(root / "sourcedata/freesurfer", folder)
    run = find(root)
    if subject is None:
        assert not run.surfaces.sides
    else:
        assert run.surfaces.reason.endswith(f" of {subject}, moved to fsLR's mesh")


def test_two_surfaces_for_one_thing_are_refused(tmp_path):
    root = tree_of(tmp_path, "25.0")
    touch(root / "sub-01/anat", "acq-b_hemi-L_space-fsLR_den-32k_midthickness.surf.gii")
    with pytest.raises(SeveralFilesError, match="two files may be the midthickness"):
        find(root)


def test_a_template_needs_volumes(tmp_path):
    root = describe_dataset(tmp_path)
    add_series(root, "space-fsLR_den-91k_", name="bold.dtseries.nii")
    with pytest.raises(RunError, match=r"has no volumes.*for --sample-on template"):
        find(root, sample_on="template")


def test_surfaces_of_xcpd_may_lie_in_the_template_or_in_t1w_space(tmp_path):
    root = describe_dataset(tmp_path, pipeline="XCP-D")
    add_series(root, f"space-{SPACE}_res-2_", name="desc-denoised_bold.nii.gz")
    stem = "space-fsLR_den-32k_desc-hcp_midthickness.surf.gii"
    touch(root / "sub-01/anat", *(f"hemi-{side}_{stem}" for side in "LR"), ANATOMY[1])
    rule = SpaceRule(model=PARCELS, templateflow=TemplateFlow(None))
    (run,) = find_runs(root, "01", rule=rule, input_type="xcpd")
    assert set(run.surfaces.sides) == {"L", "R"}
    assert run.surfaces.transforms == ()
    assert run.surfaces.grey_matter is None  # it lies in T1w space
    assert not run.surfaces.in_t1w.sides  # without a transform
    touch(root / "sub-01/anat", f"from-{SPACE}_to-T1w_{XFM}.h5")
    (run,) = find_runs(root, "01", rule=rule, input_type="xcpd")
    assert run.surfaces.in_t1w.sides == run.surfaces.sides
    assert run.surfaces.in_t1w.grey_matter.name.endswith(ANATOMY[1])
    assert run.surfaces.instead.template == SPACE


def test_grayordinates_of_another_mesh_give_way_to_volumes_which_is_said(tmp_path):
    root = tree_of(tmp_path, "25.0")
    name = "space-fsLR_den-170k_bold.dtseries.nii"
    add_series(root, "", name=name)
    with pytest.warns(UserWarning, match="den-170k_bold.*on another mesh"):
        run = find(root, on_lattice=lambda path: not path.name.endswith(name))
    assert (run.cortex, run.space) == ("own", DEFAULT)
    assert "den-170k_bold.dtseries.nii is damaged, on another mesh" in run.space_reason
    assert find(root, on_lattice=lambda path: True).bold.name.endswith(name)
