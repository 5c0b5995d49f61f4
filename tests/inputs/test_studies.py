"""HCP, UK Biobank and XCP-D: recognised, read as runs, or refused in one line."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from fmriprep_dataset import SPACE, add_run, describe_dataset
from study_folders import add_hcp_run, add_ukb_run, add_xcpd_run

from bids_dtg.errors import DatasetError, RunError, SettingsError
from bids_dtg.inputs.dataset import find_dataset, find_participants
from bids_dtg.inputs.run import TransformFile
from bids_dtg.inputs.runs import find_runs, refuse_absent, refuse_absent_space
from bids_dtg.inputs.selection import Selection
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.inputs.studies import CLEANINGS
from bids_dtg.inputs.templateflow import TemplateFlow

BOLD = np.random.default_rng(0).integers(1, 99, (3, 3, 3, 12)).astype(np.int16)


def runs_of(root: Path, participant: str, selection=None, input_type="auto", **options):
    selection = selection or Selection()
    rule = SpaceRule(templateflow=TemplateFlow(root / "nowhere"), **options)
    dataset = find_dataset(root, (), input_type)
    kind = dataset.input_type
    return find_runs(dataset.root, participant, selection, rule=rule, input_type=kind)


def titles(runs) -> list[str]:
    return [run.title for run in runs]


# --- HCP


def test_hcp_runs_get_bids_names(tmp_path):
    for run in ("rfMRI_REST1_LR", "rfMRI_REST1_RL", "rfMRI_REST2_LR", "rfMRI_REST2_RL"):
        path = add_hcp_run(tmp_path, run=run, bold=BOLD)
    add_hcp_run(tmp_path, run="tfMRI_WM_LR", bold=BOLD)
    dataset = find_dataset(tmp_path)
    assert (dataset.input_type, dataset.name, dataset.description) == ("hcp", "hcp", {})
    assert find_participants(dataset)[0] == ("100307",)
    runs = runs_of(tmp_path, "100307")
    assert titles(runs) == [
        f"sub-100307_task-rest_dir-{direction}_run-{number}"
        for direction in ("LR", "RL")
        for number in (1, 2)
    ]
    assert runs[-1].bold == path
    assert runs[-1].mask == path.parent / "brainmask_fs.2.nii.gz"
    assert (runs[0].space, runs[0].confounds, runs[0].tr_seconds) == (SPACE, None, None)
    assert (runs[0].transforms, runs[0].root, runs[0].session) == ((), tmp_path, None)


def test_hcp_lifespan_visits_are_sessions_and_joined_runs_are_left_out(tmp_path):
    for visit in ("V1", "V2"):
        folder = f"HCD0001305_{visit}_MR"
        for run in ("rfMRI_REST1_AP", "rfMRI_REST1_PA", "rfMRI_REST"):
            add_hcp_run(tmp_path, folder, run, bold=BOLD, cleaned="hp0_clean")
    (tmp_path / "HCD0001305_V1_MR" / "T1w").mkdir()
    dataset = find_dataset(tmp_path)
    assert find_participants(dataset)[0] == ("HCD0001305",)
    assert find_participants(dataset, ["HCD0001305_V1_MR"])[0] == ("HCD0001305",)
    with pytest.warns(
        UserWarning, match=r"rfMRI_REST_hp0_clean\.nii\.gz is left out: it joins"
    ) as warned:
        runs = runs_of(tmp_path, "HCD0001305")
    assert len(warned) == 2  # one a visit
    assert titles(runs) == [
        f"sub-HCD0001305_ses-V{visit}_task-rest_dir-{direction}_run-1"
        for visit in (1, 2)
        for direction in ("AP", "PA")
    ]
    assert (
        titles(runs_of(tmp_path, "HCD0001305", Selection(sessions=["V2"])))
        == titles(runs)[2:]
    )
    with pytest.raises(RunError, match=r"has no session V3; it has ses-V1, ses-V2"):
        runs_of(tmp_path, "HCD0001305", Selection(sessions=["V3"]))


# HCP-D's youngest children were scanned in shorter runs (Harms et al. 2018).
@pytest.mark.parametrize(
    ("names", "joined"),
    [
        (
            [
                "REST1a_AP",
                "REST1a_PA",
                "REST1b_AP",
                "REST1b_PA",
                "REST2a_AP",
                "REST2b_PA",
            ],
            [],
        ),
        (["REST1_AP", "REST2a_AP", "REST2a_PA"], ["REST"]),
        (["REST1_AP", "REST2"], []),
        (["REST1_LR", "REST1_RL", "REST2"], ["REST", "REST1"]),
        (["REST1_AP", "REST1_7T_AP"], []),
        (["REST1_LR", "REST1_7T_PA"], ["REST_3T"]),
    ],
)
def test_no_run_of_hcp_is_ignored_in_silence(tmp_path, names, joined):
    for name in (*names, *joined):
        add_hcp_run(tmp_path, run=f"rfMRI_{name}", bold=BOLD, cleaned="hp0_clean")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        runs = runs_of(tmp_path, "100307")
    assert {run.bold.parent.name for run in runs} == {f"rfMRI_{name}" for name in names}
    assert len(set(titles(runs))) == len(names)
    left_out = [
        str(warning.message).partition("_hp0")[0].rpartition("/")[2]
        for warning in warned
    ]
    assert left_out == [f"rfMRI_{name}" for name in joined]


@pytest.mark.parametrize("missing", range(len(CLEANINGS)))
def test_hcp_cleanings_are_taken_in_the_order_stated(tmp_path, missing):
    order = [
        f"{filtered}{cleaned}"
        for filtered in ("hp2000_", "hp0_", "")
        for cleaned in ("clean", "clean_rclean_tclean", "clean_tclean", "clean_rclean")
    ]
    for kind in order[missing:]:
        add_hcp_run(tmp_path, bold=BOLD, cleaned=kind)
    (run,) = runs_of(tmp_path, "100307")
    assert run.bold.name == f"rfMRI_REST1_LR_{order[missing]}.nii.gz"
    assert run.cleaned_as == order[missing]
    later = ", ".join(order[missing + 1 :])
    assert run.space_reason.endswith(
        f"{order[missing]} chosen over {later}" if later else "r"
    )


@pytest.mark.parametrize(
    ("kind", "dense"),
    [
        ("", False),
        ("_hp2000", False),
        ("_hp2000_clean_new", False),
        ("_Atlas_hp2000", True),
    ],
)
def test_hcp_runs_without_a_cleaned_series_are_named(tmp_path, kind, dense):
    add_hcp_run(tmp_path, run="rfMRI_REST1_LR", bold=BOLD)
    folder = add_hcp_run(tmp_path, run="rfMRI_REST2_LR", bold=BOLD).parent
    folder.joinpath("rfMRI_REST2_LR_hp2000_clean.nii.gz").rename(
        name := folder / f"rfMRI_REST2_LR{kind}.{'dtseries.nii' if dense else 'nii.gz'}"
    )
    for suffix in ("SBRef", "hp2000_clean_vn"):
        (folder / f"rfMRI_REST2_LR_{suffix}.nii.gz").write_bytes(b"x")
    if dense:
        first = tmp_path / "100307/MNINonLinear/Results/rfMRI_REST1_LR"
        (first / "rfMRI_REST1_LR_Atlas_hp2000_clean.dtseries.nii").write_bytes(b"x")
    line = rf"100307: rfMRI_REST2_LR is left out: it has only {name.name}, not cleaned"
    with pytest.warns(UserWarning, match=line) as warned:
        runs = runs_of(
            tmp_path, "100307", **({"model": "fsLR parcels"} if dense else {})
        )
    assert (len(runs), len(warned)) == (1, 1)
    name.unlink()  # a folder of motion parameters and reference images is no run
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runs_of(tmp_path, "100307", **({"model": "fsLR parcels"} if dense else {}))


def test_an_hcp_session_that_cannot_be_read_is_named_with_the_reason(tmp_path):
    add_hcp_run(tmp_path, "HCD1_V1_MR", bold=BOLD)
    add_hcp_run(tmp_path, "HCD1_V2_MR", bold=BOLD, cleaned="hp0")
    (tmp_path / "HCD1_V3_MR" / "MNINonLinear" / "Results").mkdir(
        parents=True
    )  # without rest
    reason = r"V2_MR/MNINonLinear/Results has no cleaned resting run, only rfMRI_REST1_LR_hp0\.nii"
    with pytest.warns(
        UserWarning, match=rf"^sub-HCD1_ses-V2 is left out: .*{reason}"
    ) as warned:
        assert len(runs_of(tmp_path, "HCD1")) == 1
    assert len(warned) == 1
    for session, why in (
        ("V2", reason),
        ("V3", "V3_MR/MNINonLinear/Results has no cleaned"),
    ):
        selection = Selection(sessions=[session])
        refuse_absent(find_dataset(tmp_path), ["HCD1"], selection)
        with pytest.raises(RunError, match=why):
            runs_of(tmp_path, "HCD1", selection)
    with pytest.raises(
        SettingsError, match=r"has no session V4; it has ses-V1, ses-V2, ses-V3"
    ):
        refuse_absent(find_dataset(tmp_path), ["HCD1"], Selection(sessions=["V4"]))


def test_parcels_of_hcp_come_from_grayordinates_unless_the_template_is_asked_for(
    tmp_path,
):
    volume = add_hcp_run(tmp_path, bold=BOLD)
    dense = volume.with_name("rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean.dtseries.nii")
    dense.write_bytes(b"x")
    (run,) = runs_of(tmp_path, "100307", model="fsLR parcels")
    assert (run.bold, run.surfaces) == (dense, None)
    (run,) = runs_of(tmp_path, "100307", model="fsLR parcels", sample_on="template")
    assert (run.bold, run.surfaces.transforms) == (volume, ())
    other_mesh = {"model": "fsLR parcels", "on_lattice": lambda path: False}
    with pytest.warns(UserWarning, match="MSMAll_hp2000_clean.*on another mesh"):
        (run,) = runs_of(tmp_path, "100307", **other_mesh)
    assert (run.bold, run.cortex) == (volume, "template")
    assert "on another mesh" in run.space_reason
    volume.unlink()
    (run,) = runs_of(tmp_path, "100307", **other_mesh)  # refused when it is read
    assert run.bold == dense


def test_hcp_2025_has_masks_by_other_names(tmp_path):
    path = add_hcp_run(tmp_path, bold=BOLD, cleaned="hp2000_clean_rclean_tclean")
    mask = path.with_name("rfMRI_REST1_LR_brain_mask.nii.gz")
    path.with_name("brainmask_fs.2.nii.gz").rename(mask)
    (run,) = runs_of(tmp_path, "100307")
    assert (run.mask, titles([run])) == (mask, ["sub-100307_task-rest_dir-LR_run-1"])


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (
            "rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean_rclean_tclean.dtseries.nii",
            "HCP-YA 2025",
        ),
        ("rfMRI_REST1_LR.nii.gz", "Extended"),
    ],
)
def test_hcp_without_cleaned_volumes(tmp_path, name, remedy):
    path = add_hcp_run(tmp_path, bold=BOLD)
    path.rename(path.with_name(name))
    with pytest.raises(
        RunError, match=rf"no cleaned resting run, only {name}\. .*{remedy}"
    ):
        runs_of(tmp_path, "100307")


def test_hcp_contents_that_are_elsewhere(tmp_path):
    path = add_hcp_run(tmp_path, bold=BOLD)
    path.unlink()
    path.symlink_to("../../.git/annex/objects/x")
    with pytest.raises(
        RunError, match=rf"sub-100307: {path} .*broken link.*datalad get"
    ):
        runs_of(tmp_path, "100307")
    mask, second = (
        path.with_name("brainmask_fs.2.nii.gz"),
        add_hcp_run(tmp_path, run="rfMRI_REST2_LR", bold=BOLD),
    )
    for link in (mask, second):
        link.write_text("/annex/objects/MD5E-s1--a\n")
    command = f"To do: datalad get {path} {mask} {second}."
    with pytest.raises(RunError, match=re.escape(command)):
        runs_of(tmp_path, "100307")


# --- UK Biobank


@pytest.mark.parametrize(
    ("folder", "title"),
    [
        ("1234567", "sub-1234567_task-rest"),
        ("1234567_2", "sub-1234567_ses-2_task-rest"),
        ("1234567_20227_3_0", "sub-1234567_ses-3_task-rest"),
    ],
)
def test_ukb_folders(tmp_path, folder, title):
    path = add_ukb_run(tmp_path, folder, bold=BOLD)
    (tmp_path / "logs").mkdir()
    dataset = find_dataset(tmp_path)
    assert (dataset.input_type, find_participants(dataset)[0]) == ("ukb", ("1234567",))
    (run,) = runs_of(tmp_path, "1234567")
    assert (run.title, run.bold, run.tr_seconds) == (title, path, 0.735)
    assert run.sidecars == (tmp_path / folder / "fMRI" / "rfMRI.json",)
    assert (run.mask, run.space, run.transforms) == (None, SPACE, ())


@pytest.mark.parametrize(
    "name",
    ["reg_standard/filtered_func_data_clean", "filtered_func_data_clean_standard"],
)
def test_ukb_names_of_warped_series(tmp_path, name):
    path = add_ukb_run(tmp_path, bold=BOLD, name=f"{name}.nii.gz", told_tr=False)
    add_ukb_run(
        tmp_path, bold=BOLD, name="filtered_func_data_clean.nii.gz", told_tr=False
    )
    (run,) = runs_of(tmp_path, "1234567")
    assert (run.bold, run.tr_seconds, run.sidecars) == (path, None, ())
    assert name in run.space_reason


def test_ukb_native_with_the_warp_of_fsl(tmp_path):
    path = add_ukb_run(tmp_path, bold=BOLD, name="filtered_func_data_clean.nii.gz")
    warp = path.parent / "reg" / "example_func2standard_warp.nii.gz"
    with pytest.raises(
        RunError,
        match=rf"{path} is in native space, but {warp} does not exist\. Expected: FSL's warp",
    ):
        runs_of(tmp_path, "1234567")
    warp.parent.mkdir()
    warp.write_bytes(b"x")
    (path.parent / "mask.nii.gz").write_bytes(b"x")
    (run,) = runs_of(tmp_path, "1234567")
    assert (run.bold, run.space) == (path, "boldref")
    assert run.transforms == (TransformFile(warp, warped=path),)
    assert run.mask == path.parent / "mask.nii.gz"
    assert warp in run.inputs
    path.unlink()
    with pytest.raises(
        RunError, match=r"1234567 has no filtered_func_data_clean\.nii\.gz\."
    ):
        runs_of(tmp_path, "1234567")


def test_parcels_of_ukb_lie_at_the_templates_vertices_through_its_warp(tmp_path):
    add_ukb_run(tmp_path, bold=BOLD, name="filtered_func_data_clean.nii.gz")
    warp = tmp_path / "1234567/fMRI/rfMRI.ica/reg/example_func2standard_warp.nii.gz"
    warp.parent.mkdir(exist_ok=True)
    warp.write_bytes(b"x")
    (voxels,), (parcels,) = (
        runs_of(tmp_path, "1234567", model=model) for model in (SPACE, "fsLR parcels")
    )
    assert parcels.bold == voxels.bold
    assert (parcels.transforms, parcels.surfaces.transforms) == ((), voxels.transforms)
    assert (parcels.surfaces.sides, parcels.surfaces.template) == ({}, SPACE)


def test_ukb_two_folders_of_one_session(tmp_path):
    for folder in ("1234567_20227_2_0", "1234567_2"):
        add_ukb_run(tmp_path, folder, bold=BOLD)
    remedy = r"has two files of one measurement.*To do: remove or move one of the two folders\."
    with pytest.raises(RunError, match=remedy):
        runs_of(tmp_path, "1234567")


def test_a_ukb_session_that_cannot_be_read_is_named_with_the_reason(tmp_path):
    add_ukb_run(tmp_path, "1234567_2", bold=BOLD)
    native = add_ukb_run(
        tmp_path, "1234567_3", bold=BOLD, name="filtered_func_data_clean.nii.gz"
    )
    (tmp_path / "1234567_1" / "fMRI").mkdir(parents=True)  # without rest
    reason = rf"{native} is in native space, but .*_warp\.nii\.gz does not exist"
    with pytest.warns(
        UserWarning, match=rf"^sub-1234567_ses-3 is left out: {reason}"
    ) as warned:
        assert titles(runs_of(tmp_path, "1234567")) == ["sub-1234567_ses-2_task-rest"]
    assert len(warned) == 1
    selection = Selection(sessions=["3"])
    refuse_absent(find_dataset(tmp_path), ["1234567"], selection)
    with pytest.raises(RunError, match=reason):
        runs_of(tmp_path, "1234567", selection)


# --- all studies


def test_a_study_that_is_not_there(tmp_path):
    (tmp_path / "notes").mkdir()
    with pytest.raises(
        DatasetError, match=r"no participants \(no fMRI folder\)\. It has notes"
    ):
        find_participants(find_dataset(tmp_path, (), "ukb"))
    with pytest.raises(
        DatasetError, match=r"--derivatives names x, and --input-type is hcp"
    ):
        find_dataset(tmp_path, ["x"], "hcp")
    with pytest.raises(DatasetError, match="not a BIDS"):
        find_dataset(tmp_path)


def test_folders_of_two_studies_in_one_place_are_refused(tmp_path):
    add_hcp_run(tmp_path, bold=BOLD)
    add_ukb_run(tmp_path, bold=BOLD)
    line = (
        r"has HCP folders and UK Biobank folders\. Expected: .*--input-type hcp or ukb"
    )
    with pytest.raises(DatasetError, match=line):
        find_dataset(tmp_path)
    assert find_participants(find_dataset(tmp_path, (), "ukb"))[0] == ("1234567",)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"requested": "T1w"}, "not in T1w.*leave --space out"),
        ({"model": "MNIx"}, "not in MNIx"),
    ],
)
def test_studies_are_in_one_space(tmp_path, option, told):
    add_hcp_run(tmp_path, bold=BOLD)
    with pytest.raises(RunError, match=f"an HCP folder is read in {SPACE}, {told}"):
        runs_of(tmp_path, "100307", **option)
    assert len(runs_of(tmp_path, "100307", requested=f"{SPACE}:res-2")) == 1


def test_what_nobody_of_a_study_has_is_refused_from_names(tmp_path):
    add_hcp_run(tmp_path, bold=BOLD)
    dataset, rule = find_dataset(tmp_path), SpaceRule(requested="T1w")
    with pytest.raises(
        SettingsError, match="has no run of task nback; it has task-rest"
    ):
        refuse_absent(dataset, ["100307"], Selection(tasks=["nback"]))
    with pytest.raises(
        SettingsError, match=f"an HCP folder is read in {SPACE}, not in T1w"
    ):
        refuse_absent_space(dataset, ["100307"], Selection(), rule)
    with pytest.raises(RunError, match="sub-100308 is not in"):
        runs_of(tmp_path, "100308")


def test_filters_are_for_bids_names(tmp_path):
    add_ukb_run(tmp_path, bold=BOLD)
    with pytest.raises(
        SettingsError, match="--bids-filter-file was given for a UK Biobank folder"
    ):
        runs_of(tmp_path, "1234567", Selection(filters={"run": 1}))


# --- XCP-D


def test_xcpd_is_recognised_and_read(tmp_path):
    bold = add_xcpd_run(tmp_path, entities="run-1")
    add_xcpd_run(tmp_path, entities="run-1", desc="denoisedSmoothed")
    dataset = find_dataset(tmp_path)
    assert (dataset.input_type, dataset.name) == ("xcpd", "xcpd")
    (run,) = runs_of(tmp_path, "01")
    assert (run.bold, run.mask, run.confounds, run.tr_seconds) == (
        bold,
        None,
        None,
        2.0,
    )
    assert run.title == "sub-01_task-rest_run-1"
    bold.unlink()
    (run,) = runs_of(tmp_path, "01")
    assert "desc-denoisedSmoothed" in run.bold.name


def test_the_wrong_type_says_what_is_there(tmp_path):
    add_xcpd_run(tmp_path)
    with pytest.raises(
        RunError, match=r"desc-preproc_bold image\. It has \S+desc-denoised_bold"
    ):
        runs_of(tmp_path, "01", input_type="fmriprep")


def test_derivatives_below_a_raw_dataset(tmp_path):
    raw = describe_dataset(tmp_path / "raw", kind="raw")
    xcpd = raw / "derivatives" / "xcp_d"
    add_xcpd_run(xcpd)
    assert find_dataset(raw).root == xcpd
    assert find_dataset(raw).input_type == "xcpd"
    fmriprep = describe_dataset(raw / "derivatives" / "fmriprep")
    add_run(fmriprep)
    assert find_dataset(raw).input_type == "fmriprep"
    assert find_dataset(raw, (), "xcpd").root == xcpd
    dataset = find_dataset(raw, ["xcp_d=" + str(xcpd)])
    assert (dataset.root, dataset.input_type, dataset.bids_dir) == (xcpd, "xcpd", raw)
    assert find_dataset(raw, [str(xcpd)]).input_type == "xcpd"
    derivatives = [f"fmriprep={fmriprep}", f"xcpd={xcpd}"]
    with pytest.raises(DatasetError, match=r"--derivatives names .*Expected: one of"):
        find_dataset(raw, derivatives)
    assert find_dataset(raw, derivatives, "xcpd").root == xcpd
    with pytest.raises(
        DatasetError, match="is a raw dataset without XCP-D derivatives"
    ):
        find_dataset(describe_dataset(tmp_path / "other", kind="raw"), (), "xcpd")
