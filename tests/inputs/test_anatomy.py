"""A participant's T1w image and its transforms: which files, and errors about missing ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fmriprep_dataset import SPACE

from bids_dtg.errors import RunError
from bids_dtg.inputs.anatomy import Anatomy, find_anatomy
from bids_dtg.inputs.dataset import InputDataset
from bids_dtg.inputs.run import SeveralFilesError
from bids_dtg.inputs.templateflow import TemplateFlow, TransformMissingError

OTHER = "MNI152NLin2009cAsym"


def add(root: Path, name: str, session: str | None = None) -> Path:
    """Add a file of the participant's anat folder, the name without its labels."""
    stem = ["sub-01", *([f"ses-{session}"] if session else [])]
    path = root.joinpath(*stem, "anat", "_".join([*stem, name]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"content")
    return path


def xfm(origin: str, to: str) -> str:
    return f"from-{origin}_to-{to}_mode-image_xfm.h5"


def with_template(home: Path, to: str, origin: str) -> Path:
    path = home / f"tpl-{to}" / f"tpl-{to}_{xfm(origin, '')}".replace("_to-", "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    return path


def anatomy(
    root: Path, session: str | None = None, home: Path | None = None
) -> Anatomy:
    return Anatomy(root, "01", session, TemplateFlow(home or root / "templateflow"))


def test_the_own_image_is_taken_and_no_template_version(tmp_path):
    t1w = add(tmp_path, "acq-mprage_desc-preproc_T1w.nii.gz")
    add(tmp_path, f"acq-mprage_space-{SPACE}_res-2_desc-preproc_T1w.nii.gz")
    add(tmp_path, "acq-mprage_desc-preproc_T1w.json")
    add(tmp_path, "copy of the T1w.nii.gz")
    assert anatomy(tmp_path).t1w == t1w


def test_the_sessions_own_comes_before_the_participants(tmp_path):
    of_session = add(tmp_path, "desc-preproc_T1w.nii.gz", "a")
    shared = add(tmp_path, "desc-preproc_T1w.nii.gz")
    assert anatomy(tmp_path, "a").t1w == of_session
    assert anatomy(tmp_path, "b").t1w == shared
    assert anatomy(tmp_path).t1w == shared


def test_the_only_session_with_a_t1w_image_has_that_of_all(tmp_path):
    only = add(tmp_path, "desc-preproc_T1w.nii.gz", "a")
    assert anatomy(tmp_path, "b").t1w == only
    assert anatomy(tmp_path).t1w == only
    add(tmp_path, "desc-preproc_T1w.nii.gz", "c")
    with pytest.raises(
        RunError, match=r"sub-01/ses-b/anat has no sub-01_ses-b_desc-preproc_T1w"
    ):
        _ = anatomy(tmp_path, "b").t1w
    with pytest.raises(
        RunError, match=r"sub-01/anat has no sub-01_desc-preproc_T1w\.nii\.gz"
    ):
        _ = anatomy(tmp_path).t1w


def test_an_empty_folder_of_a_session_leaves_the_other_session_s_files(tmp_path):
    (tmp_path / "sub-01" / "ses-b" / "anat").mkdir(parents=True)
    (tmp_path / "sub-01" / "anat").mkdir()
    (tmp_path / "sub-01" / "ses-b" / "anat" / "sub-01_ses-b_T1w.json").write_text("{}")
    path = add(tmp_path, xfm("T1w", SPACE), "a")
    for session in ("a", "b", None):
        assert anatomy(tmp_path, session).transform("T1w", SPACE).path == path


def test_a_missing_image_is_refused(tmp_path):
    add(tmp_path, "desc-preproc_T2w.nii.gz")
    with pytest.raises(
        RunError, match=r"T1w image of fMRIPrep.*To do: give fMRIPrep's deriv"
    ):
        _ = anatomy(tmp_path).t1w


# --- Two files for one thing


LOOK_UPS = {
    "desc-preproc_T1w": lambda files: files.t1w,
    xfm(SPACE, "T1w")[:-3]: lambda files: files.points_to(SPACE),
    xfm("T1w", SPACE)[:-3]: lambda files: files.transform("T1w", SPACE),
}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (xfm("T1w", SPACE), f"acq-mpr_{xfm('T1w', SPACE)}"),
        (f"acq-a_{xfm('T1w', SPACE)}", f"acq-b_{xfm('T1w', SPACE)}"),
        (xfm("T1w", SPACE), xfm("T1w", SPACE).replace(".h5", ".txt")),
        (f"rec-a_{xfm(SPACE, 'T1w')}", f"rec-b_{xfm(SPACE, 'T1w')}"),
        ("desc-preproc_T1w.nii.gz", "desc-preproc_T1w.nii"),
        ("ce-none_desc-preproc_T1w.nii.gz", "ce-gad_desc-preproc_T1w.nii.gz"),
        ("run-1_desc-preproc_T1w.nii.gz", "run-2_desc-preproc_T1w.nii.gz"),
    ],
)
def test_two_files_that_fit_equally_are_refused_with_both_names(
    tmp_path, first, second
):
    paths = {add(tmp_path, name) for name in (first, second)}
    (look_up,) = (look_up for name, look_up in LOOK_UPS.items() if name in first)
    with pytest.raises(SeveralFilesError) as caught:
        look_up(anatomy(tmp_path))
    assert all(str(path) in caught.value.found for path in paths)


def test_the_session_in_a_name_decides(tmp_path):
    anat = add(tmp_path, f"ses-a_{xfm('T1w', SPACE)}").parent
    of_b = add(tmp_path, f"ses-b_{xfm('T1w', SPACE)}")
    assert anatomy(tmp_path, "b").transform("T1w", SPACE).path == of_b
    with pytest.raises(SeveralFilesError):
        anatomy(tmp_path).transform("T1w", SPACE)
    with pytest.raises(RunError, match=rf"{anat} has no|has no sub-01_ses-c_from-T1w"):
        anatomy(tmp_path, "c").transform("T1w", SPACE)
    of_all = add(tmp_path, xfm("T1w", SPACE))
    assert anatomy(tmp_path, "c").transform("T1w", SPACE).path == of_all


def test_a_file_in_the_folder_of_another_session_is_refused(tmp_path):
    path = add(tmp_path, xfm("T1w", SPACE), "a")
    moved = path.rename(path.with_name(path.name.replace("ses-a", "ses-b")))
    with pytest.raises(
        RunError, match=rf"{moved} is named after session b, but .* session a\."
    ):
        anatomy(tmp_path, "a").transform("T1w", SPACE)


def test_the_sidecar_that_names_the_image_decides(tmp_path):
    for acquisition in "ab":
        add(tmp_path, f"acq-{acquisition}_{xfm('T1w', SPACE)}")
        add(tmp_path, f"acq-{acquisition}_desc-preproc_T1w.nii.gz")
    sidecar = tmp_path / "sub-01_task-rest_desc-preproc_bold.json"
    source = "bids::sub-01/anat/sub-01_acq-b_desc-preproc_T1w.nii.gz"
    sidecar.write_text(
        json.dumps({"Sources": ["bids:raw:sub-01/func/x_bold.nii.gz", source]})
    )
    reference = Anatomy(
        tmp_path, "01", None, TemplateFlow(tmp_path / "none"), (sidecar,)
    )
    assert "_acq-b_" in reference.transform("T1w", SPACE).path.name
    assert "_acq-b_" in reference.t1w.name


def test_images_go_the_other_way_than_points(tmp_path):
    """A file from A to B resamples images of A, and so maps points of B to points of A."""
    back, _ = add(tmp_path, xfm(SPACE, "T1w")), add(tmp_path, xfm("T1w", SPACE))
    (to,) = anatomy(tmp_path).points_to(SPACE)
    assert (to.path, to.inverse) == (back, False)


def test_another_template_leads_to_the_models_through_templateflow(tmp_path):
    root, home = tmp_path / "fmriprep", tmp_path / "templateflow"
    for name in (
        xfm(OTHER, "T1w"),
        xfm("T1w", OTHER),
        xfm("fsnative", "T1w"),
        xfm("T1w", "ABC"),
        xfm("ABC", "T1w"),
    ):
        add(root, name)
    # T1w -> 2009cAsym -> 6Asym for points: TemplateFlow's file resamples 6Asym to 2009cAsym
    to_model, _ = with_template(home, OTHER, SPACE), with_template(home, SPACE, OTHER)
    with_template(home, "ABC", SPACE), with_template(home, SPACE, "ABC")
    files = anatomy(root, home=home)
    anat = root / "sub-01" / "anat"
    assert [file.path for file in files.points_to(SPACE)] == [
        anat / f"sub-01_{xfm(OTHER, 'T1w')}",
        to_model,
    ]


def test_what_templateflow_lacks_is_named(tmp_path):
    add(tmp_path, xfm(OTHER, "T1w"))
    with pytest.raises(
        TransformMissingError,
        match=rf"tpl-{OTHER}_from-{SPACE}_mode-image_xfm\.h5 is missing.*bids_dtg fetches it",
    ):
        anatomy(tmp_path).points_to(SPACE)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            [],
            rf"no sub-01_from-{SPACE}_to-T1w_mode-image_xfm\.h5\. To do: fmriprep --output-sp",
        ),
        ([xfm("fsnative", "T1w")], "To do: fmriprep --output-spaces"),
    ],
)
def test_no_way_is_refused(tmp_path, names, message):
    for name in names:
        add(tmp_path, name)
    with pytest.raises(RunError, match=message):
        anatomy(tmp_path).points_to(SPACE)


def test_folders_of_studies_have_no_such_anatomy(tmp_path):
    flow = TemplateFlow(tmp_path)
    bids = InputDataset(tmp_path, "x", {}, tmp_path, input_type="fmriprep")
    assert find_anatomy(bids, "01", None, templateflow=flow) == Anatomy(
        tmp_path, "01", None, flow
    )
    hcp = InputDataset(tmp_path, "x", {}, tmp_path, input_type="hcp")
    with pytest.raises(
        RunError, match="an HCP folder has no readable transforms to T1w"
    ):
        find_anatomy(hcp, "01", None, templateflow=flow)
