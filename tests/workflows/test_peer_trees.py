"""Trees of files as peers' programs write them: which runs are found, and what belongs to them.

File names are facts that these programs' own test runs list: fMRIPrep's and NiBabies' `.circleci`,
XCP-D's and fMRIPost-AROMA's `tests/data`, a data set of OpenNeuroDerivatives. The trees are made
anew: their task is rest, and they hold what says something of functional runs.
"""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from fmriprep_dataset import confound_columns, make_image, write_confounds

import bids_dtg
from bids_dtg.cleaning.noise_components import find_component_files
from bids_dtg.errors import DtgError

FRAMES = 20


@dataclass(frozen=True)
class Tree:
    """What a program wrote, and what is read of it."""

    writer: str  # name and version, as its description has them
    files: str  # names, with alternatives in braces; "=40" after a series: its frames
    # Run by run: how the names of its series, mask, confounds and transforms end, "-" for none.
    runs: str = ""
    says: str = ""  # of the refusal, or of the only warning
    space: str | None = None  # of --space
    aroma: int = 0  # runs that have the files of ICA-AROMA


# The next release of fMRIPrep calls the run's own grid `run`, and keeps its mask there.
_26 = """
sub-02/anat/sub-02_{desc-brain_mask,desc-preproc_T1w,dseg}.nii.gz
sub-02/anat/sub-02_from-{MNI152NLin2009cAsym_to-T1w,T1w_to-MNI152NLin2009cAsym}_mode-image_xfm.h5
RUN_space-run_{desc-brain_mask,boldref}.{nii.gz,json}
RUN_space-orig_desc-hmc_boldref.{nii.gz,json}
RUN_desc-confounds_timeseries.{tsv,json}
RUN_from-run_to-{auto00000_mode-image_desc-fmap,T1w_mode-image_desc-coreg}_xfm.{txt,json}
RUN_from-orig_to-run_mode-image_desc-hmc_xfm.{txt,json}
RUN_space-MNI152NLin2009cAsym{RES}_{boldref,desc-brain_mask,desc-preproc_bold}.{nii.gz,json}
"""
# fMRIPrep 20 to 22: the co-registration leads from the scanner's grid, ICA-AROMA is its own.
_LEGACY = """
sub-01/anat/sub-01_{desc-brain_mask,desc-preproc_T1w,dseg}.nii.gz
sub-01/anat/sub-01_from-MNI152NLin{2009c,6}Asym_to-T1w_mode-image_xfm.h5
sub-01/anat/sub-01_from-T1w_to-MNI152NLin{2009c,6}Asym_mode-image_xfm.h5
RUN_{AROMAnoiseICs.csv,boldref.nii.gz,desc-MELODIC_mixing.tsv}
RUN_desc-confounds_timeseries.{tsv,json}
RUN_from-{scanner_to-boldref,scanner_to-T1w,T1w_to-scanner}_mode-image_xfm.txt
RUN_space-fsaverage5_hemi-{L,R}_bold.{func.gii,json}
RUN_space-fsLR_den-91k_bold.{dtseries.nii,json}
RUN_space-{MNI152NLin2009cAsym,MNI152NLin6Asym,T1w}_{boldref,desc-aseg_dseg}.nii.gz
RUN_space-{MNI152NLin2009cAsym,MNI152NLin6Asym,T1w}_desc-{brain_mask,preproc_bold}.{json,nii.gz}
RUN_space-MNI152NLin6Asym_desc-smoothAROMAnonaggr_bold.{json,nii.gz}
"""
_NIBABIES = """
sub-01/ses-1mo/anat/sub-01_ses-1mo_run-001_desc-preproc_{T1w,T2w}.{json,nii.gz}
sub-01/ses-1mo/anat/sub-01_ses-1mo_run-001_from-MNIInfant+1_to-T1w_mode-image_xfm.h5
sub-01/ses-1mo/anat/sub-01_ses-1mo_run-001_from-T1w_to-{MNIInfant+1,T2w}_mode-image_xfm.h5
sub-01/ses-1mo/anat/sub-01_ses-1mo_run-001_space-MNIInfant+1_desc-brain_mask.nii.gz
RUN_desc-{brain_mask,coreg_boldref,hmc_boldref}.{json,nii.gz}
RUN_desc-confounds_timeseries.{tsv,json}
RUN_desc-preproc_bold.{json,nii.gz}
RUN_from-boldref_to-{T1w_mode-image_desc-coreg,auto00000_mode-image_desc-fmap}_xfm.{json,txt}
RUN_from-orig_to-boldref_mode-image_desc-hmc_xfm.{json,txt}
RUN_space-MNIInfant+1_{boldref,desc-brain_mask,desc-preproc_bold}.{json,nii.gz}
"""
# XCP-D since 0.6 joins runs, and keeps the outliers of runs and of their join.
_XCPD = """
sub-01/anat/sub-01_space-MNI152NLin2009cAsym_{desc-preproc_T1w,dseg}.nii.gz
RUN_{desc-filtered_motion,outliers}.{json,tsv}
RUN_desc-preproc_design.{json,tsv}
RUN_space-MNI152NLin2009cAsym_desc-linc_qc.tsv
RUN_space-MNI152NLin2009cAsym_res-2_stat-{alff,reho}_boldmap.{json,nii.gz}
RUN_space-MNI152NLin2009cAsym_res-2_desc-{denoised,denoisedSmoothed}_bold.{json,nii.gz}
"""
_XCPD_JOIN = """
RUN_{desc-filtered_motion,outliers}.{json,tsv}
RUN_space-MNI152NLin2009cAsym_res-2_desc-{denoised,denoisedSmoothed}_bold.{json,nii.gz=40}
"""
_XCPD_02 = """
sub-01/anat/sub-01_space-MNI152NLin6Asym_{desc-preproc_T1w,dseg}.nii.gz
RUN_{desc-filtered_motion,desc-preproc_design,outliers}.tsv
RUN_space-MNI152NLin2009cAsym_atlas-{Glasser,Gordon,Schaefer117}_timeseries.tsv
RUN_space-MNI152NLin2009cAsym_atlas-Glasser_measure-pearsoncorrelation_conmat.tsv
RUN_space-MNI152NLin2009cAsym_res-2_{alff,reho,desc-smooth_alff}.{json,nii.gz}
RUN_space-MNI152NLin2009cAsym_res-2_desc-{denoised,denoisedSmoothed}_bold.{json,nii.gz}
RUN_space-MNI152NLin2009cAsym_qc.csv
"""
_XCPD_CIFTI = """
RUN_{desc-filtered_motion,design,outliers}.{json,tsv}
RUN_space-fsLR_den-91k_desc-{denoised,denoisedSmoothed}_bold.{dtseries.nii,json}
RUN_space-fsLR_den-91k_stat-{alff,reho}_boldmap.{dscalar.nii,json}
RUN_space-fsLR_seg-{HCP,Tian}_den-91k_stat-mean_timeseries.{ptseries.nii,json}
RUN_space-fsLR_seg-{HCP,Tian}_den-91k_stat-coverage_boldmap.{pscalar.nii,json}
RUN_space-fsLR_seg-{HCP,Tian}_stat-{mean,coverage}_timeseries.{json,tsv}
"""
_AROMA = """
RUN_desc-aroma_{metrics.json,metrics.tsv,timeseries.tsv}
RUN_space-MNI152NLin6Asym_res-2_desc-{aggr,nonaggr,orthaggr}Denoised_bold.nii.gz
RUN_space-MNI152NLin6Asym_res-2_desc-melodic_mixing.tsv
RUN_space-MNI152NLin6Asym_res-2_thresh-0p5_desc-melodic_components.nii.gz
"""


_2009C = "space-MNI152NLin2009cAsym_res-2"


def of_runs(files: str, *runs: str, **words: str) -> str:
    """Repeat lines for each of some runs."""
    for word, value in words.items():
        files = files.replace("{" + word + "}", value)
    return "".join(files.replace("RUN", run) + "\n" for run in runs)


_TWO_RUNS = of_runs(
    _26
    + "RUN_desc-preproc_bold.{json,nii.gz}\n"
    + "RUN_space-T1w_{boldref,desc-brain_mask,desc-preproc_bold}.{nii.gz,json}",
    "sub-02/func/sub-02_task-rest_run-01",
    "sub-02/func/sub-02_task-rest_run-02",
    RES="_res-2",
)
_FROM_2009C = "tpl-MNI152NLin6Asym_from-MNI152NLin2009cAsym_mode-image_xfm.h5"
_IN_2009C = f"""
RUN_{_2009C}_desc-preproc_bold.nii.gz
RUN_{_2009C}_desc-brain_mask.nii.gz
RUN_desc-confounds_timeseries.tsv
{_FROM_2009C}
"""
_DENOISED = f"RUN_{_2009C}_desc-denoised_bold.nii.gz\n-\n-\n{_FROM_2009C}\n"

TREES = {
    "fMRIPrep 26": Tree(
        "fMRIPrep 26.0.0", _TWO_RUNS, of_runs(_IN_2009C, "run-01", "run-02")
    ),
    "fMRIPrep 26, the run's own grid": Tree(
        "fMRIPrep 26.0.0",
        _TWO_RUNS,
        of_runs(
            f"""
RUN_desc-preproc_bold.nii.gz
RUN_space-run_desc-brain_mask.nii.gz
RUN_desc-confounds_timeseries.tsv
{_FROM_2009C}
sub-02_from-T1w_to-MNI152NLin2009cAsym_mode-image_xfm.h5
RUN_from-run_to-T1w_mode-image_desc-coreg_xfm.txt
""",
            "run-01",
            "run-02",
        ),
        space="boldref",
    ),
    "fMRIPrep 26, echoes": Tree(
        "fMRIPrep 26.0.0",
        of_runs(
            _26 + "RUN_echo-{1,2,3}_desc-preproc_bold.{json,nii.gz}",
            "sub-02/func/sub-02_task-rest_run-01",
            RES="",
        ),
        of_runs(_IN_2009C.replace("_res-2", ""), "rest_run-01"),
    ),
    "fMRIPrep 20.2": Tree(
        "fMRIPrep 20.2.7",
        of_runs(_LEGACY, "sub-01/func/sub-01_task-rest_run-02"),
        """
run-02_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz
run-02_space-MNI152NLin6Asym_desc-brain_mask.nii.gz
run-02_desc-confounds_timeseries.tsv
""",
        aroma=1,
    ),
    "NiBabies 24": Tree(
        "NiBabies 24.0.0",
        of_runs(
            _NIBABIES, "sub-01/ses-1mo/func/sub-01_ses-1mo_task-rest_acq-PA_run-001"
        ),
        says="run-001 is in other spaces only [(]MNIInfant[+]1, boldref[)].* has no "
        "sub-01_ses-1mo_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5",
    ),
    "XCP-D 0.10, runs and their join": Tree(
        "XCP-D 0.10.6",
        of_runs(
            _XCPD,
            "sub-01/func/sub-01_task-rest_run-01",
            "sub-01/func/sub-01_task-rest_run-02",
            "sub-01/func/sub-01_task-resteyes",
        )
        + of_runs(_XCPD_JOIN, "sub-01/func/sub-01_task-rest"),
        of_runs(_DENOISED, "rest_run-01", "rest_run-02", "resteyes"),
        says="sub-01_task-rest_",
    ),
    "XCP-D 0.2": Tree(
        "XCP-D 0.2.0",
        of_runs(
            _XCPD_02,
            "sub-01/func/sub-01_task-rest_run-01",
            "sub-01/func/sub-01_task-rest_run-02",
        ),
        of_runs(_DENOISED, "rest_run-01", "rest_run-02"),
    ),
    "XCP-D 0.10, CIFTI": Tree(
        "XCP-D 0.10.6",
        of_runs(_XCPD_CIFTI, "sub-01/ses-A/func/sub-01_ses-A_task-rest_acq-singleband"),
        says="no desc-denoised_bold image. It has .*dtseries.nii",
    ),
    "fMRIPost-AROMA": Tree(
        "fMRIPost-AROMA 0.0.5",
        of_runs(_AROMA, "sub-01/ses-01/func/sub-01_ses-01_task-rest"),
        says="fMRIPost-AROMA",
    ),
}


def expanded(text: str) -> list[str]:
    """Write out the alternatives of each line."""
    names = []
    for line in text.split():
        parts = (part.split(",") for part in re.split(r"\{([^}]*)\}", line))
        names += ["".join(combination) for combination in product(*parts)]
    return names


def write_tree(root: Path, tree: Tree) -> None:
    """Write small files: images with a header, tables, sidecars; the others are stand-ins."""
    name, version = tree.writer.split()
    description = {"Name": name, "BIDSVersion": "1.8.0", "DatasetType": "derivative"}
    description["GeneratedBy"] = [{"Name": name, "Version": version}]
    root.mkdir()
    (root / "dataset_description.json").write_text(json.dumps(description))
    for entry in expanded(tree.files):
        file, _, frames = entry.partition("=")
        path, count = root / file, int(frames or FRAMES)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name.endswith("bold.nii.gz"):
            make_image(path, np.ones((2, 2, 2, count), np.uint8))
        elif path.name.endswith(".nii.gz"):
            make_image(path, np.ones((2, 2, 2), np.uint8))
        elif path.name.endswith("_timeseries.tsv"):
            write_confounds(path, confound_columns(count))
        elif path.name.endswith("_outliers.tsv"):
            write_confounds(path, {"framewise_displacement": ["0"] * count})
        elif path.name.endswith("bold.json"):
            path.write_text('{"RepetitionTime": 2.0}')
        else:
            path.write_text("{}" if path.suffix == ".json" else "n/a\n")


@pytest.mark.slow
@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@pytest.mark.filterwarnings("ignore:.*TemplateFlow's has")
def test_runs_and_their_files(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    path = tmp_path / "templateflow" / "tpl-MNI152NLin6Asym" / _FROM_2009C
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    write_tree(tmp_path / "in", tree)
    settings = bids_dtg.Settings.of(
        bids_dir=tmp_path / "in",
        output_dir=tmp_path / "out",
        analysis_level="participant",
        model="demo",
        space=tree.space,
    )
    if not tree.runs:
        with pytest.raises(DtgError, match=tree.says):
            bids_dtg.find_runs(settings)
        return
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        runs = bids_dtg.find_runs(settings)
    files = [
        "-" if path is None else path.name
        for run in runs
        for path in (
            run.bold,
            run.mask,
            run.confounds,
            *(transform.path for transform in run.transforms),
        )
    ]
    ends = tree.runs.split()
    assert [name[-len(end) :] for name, end in zip(files, ends, strict=True)] == ends
    messages = [
        str(warning.message)
        for warning in warned
        if "TemplateFlow's has" not in str(warning.message)
    ]
    assert len(messages) == bool(tree.says)
    assert all(tree.says in line for line in messages)
    assert (
        sum(find_component_files("ica_aroma", run) is not None for run in runs)
        == tree.aroma
    )
