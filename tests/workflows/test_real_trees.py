"""What becomes of every real tree of the shared test data: read, or refused with which line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bids_dtg.errors import DatasetError, RunError
from bids_dtg.inputs.dataset import find_dataset
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.inputs.templateflow import TemplateFlow

SIX, NINE = "MNI152NLin6Asym", "MNI152NLin2009cAsym"
TREES = "fmriprep_trees"
MYCONNECTOME = f"{TREES}/neurocaps_ds000031"
SIDECARS_ONLY = (
    r"sub-0\d has no BOLD series in .*only \S+_bold\.json: .*no images\."
    r" To do: .*datalad"
)
TO_T1W = f"sub-HAPPYTEST_from-T1w_to-{SIX}_mode-image_xfm.h5"
COREG = "sub-HAPPYTEST_task-rest_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"
FROM_NINE = f"tpl-{SIX}_from-{NINE}_mode-image_xfm.h5"

# Tree, participant, space asked for -> space, transforms.
READ = [
    ("fmriprep_like", "HAPPYTEST", None, SIX, []),
    ("fmriprep_like", "HAPPYTEST", f"{SIX}:res-2", SIX, []),
    ("fmriprep_like", "HAPPYTEST", "boldref", "boldref", [TO_T1W, COREG]),
    ("fmriprep_like", "HAPPYTEST", NINE, NINE, [FROM_NINE]),
    ("fmriprep_like", "RAPIDTIDETEST", None, NINE, [FROM_NINE]),
]
# Tree, participant, space asked for -> line.
REFUSED = [
    (
        "fmriprep_like",
        "HAPPYTEST",
        "T1w",
        rf"no version of .* in T1w.*one of {NINE}, {SIX}:res-2, boldref",
    ),
    (
        "fmriprep_like",
        "RAPIDTIDETEST",
        SIX,
        rf"no version of .* in {SIX}.*one of {NINE}",
    ),
    (f"{TREES}/ds002748-fmriprep", "01", None, SIDECARS_ONLY),
    (f"{TREES}/ds002748-fmriprep", "02", None, SIDECARS_ONLY),
    (f"{TREES}/ds002422-fmriprep", "01", None, SIDECARS_ONLY),
    (f"{TREES}/ds002422-fmriprep", "02", None, SIDECARS_ONLY),
    (
        f"{MYCONNECTOME}/derivatives/fmriprep_1.0.0/fmriprep",
        "01",
        None,
        r"sub-01 has no BOLD series in .*only \S+brain_mask\.nii\.gz\. Expected: .*To do: fmriprep",
    ),
]
# Folders that are no dataset to read from.
NOT_READ = [
    (MYCONNECTOME, r"neurocaps_ds000031 is a raw dataset without fMRIPrep derivatives"),
    (TREES, r"is not a BIDS dataset: .*did you mean \S+ds002422-fmriprep\?"),
    (
        "templateflow_like",
        r"has no dataset_description\.json",
    ),
    ("transforms", r"is not a BIDS dataset"),
]


def rule_at(shared: Path, requested: str | None) -> SpaceRule:
    return SpaceRule(
        requested=requested,
        templateflow=TemplateFlow(shared / "data/real/templateflow_like"),
    )


@pytest.mark.parametrize(
    ("tree", "participant", "requested", "space", "transforms"), READ
)
def test_trees_that_are_read(shared, tree, participant, requested, space, transforms):
    dataset = find_dataset(shared / "data/real" / tree)
    assert dataset.input_type == "fmriprep"
    (run,) = find_runs(dataset.root, participant, rule=rule_at(shared, requested))
    assert run.space == space
    assert [transform.path.name for transform in run.transforms] == transforms
    assert not any(transform.inverse for transform in run.transforms)
    assert run.mask is not None
    assert run.confounds is not None
    assert run.tr_seconds == {"HAPPYTEST": 1.16, "RAPIDTIDETEST": 1.5}[participant]


@pytest.mark.parametrize(("tree", "participant", "requested", "line"), REFUSED)
def test_trees_that_are_refused(shared, tree, participant, requested, line):
    dataset = find_dataset(shared / "data/real" / tree)
    with pytest.raises(RunError, match=line):
        find_runs(dataset.root, participant, rule=rule_at(shared, requested))


@pytest.mark.parametrize(("folder", "line"), NOT_READ)
def test_folders_that_are_no_dataset(shared, folder, line):
    with pytest.raises(DatasetError, match=line):
        find_dataset(shared / "data/real" / folder)


def test_every_tree_is_in_a_table(shared):
    real = shared / "data" / "real"
    told = {tree for tree, *_ in [*READ, *REFUSED]} | {folder for folder, _ in NOT_READ}
    trees = {
        path.parent.relative_to(real).as_posix()
        for path in real.rglob("dataset_description.json")
    }
    assert trees <= told


def with_content(shared: Path, root: Path, tree: str) -> Path:
    """Make the tree again with all files that git-annex had, each with a little content."""
    source = shared / "data/real" / TREES / tree
    (root / "dataset_description.json").parent.mkdir(parents=True)
    (root / "dataset_description.json").write_text(
        (source / "dataset_description.json").read_text()
    )
    for name in (source / "ANNEXED_PATHS_sub-01.txt").read_text().split():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"content")
    return root


# Tree -> run, space, transforms once the images are there: neither has 6Asym preproc.
FILLED = {
    "ds002748-fmriprep": "sub-01_task-rest",
    "ds002422-fmriprep": "sub-01_task-rest",
}


@pytest.mark.parametrize(("tree", "title"), FILLED.items())
def test_skeletons_with_their_images(shared, tmp_path, tree, title):
    root = with_content(shared, tmp_path / tree, tree)
    (run,) = find_runs(root, "01", rule=rule_at(shared, None))
    assert (run.title, run.space) == (title, "boldref")
    assert [transform.path.name for transform in run.transforms] == [
        f"sub-01_from-T1w_to-{SIX}_mode-image_xfm.h5",
        f"{title}_from-scanner_to-T1w_mode-image_xfm.txt",
    ]
    assert run.mask == run.bold.with_name(f"{title}_desc-brain_mask.nii.gz")
    assert run.confounds is not None
    (run,) = find_runs(root, "01", rule=rule_at(shared, NINE))
    assert [transform.path.name for transform in run.transforms] == [FROM_NINE]
    (run,) = find_runs(root, "01", rule=rule_at(shared, "T1w"))
    assert len(run.transforms) == 1
    # ICA-AROMA's smoothed series in 6Asym is not the preprocessed one.
    with pytest.raises(RunError, match=f"no version of .* in {SIX}"):
        find_runs(root, "01", rule=rule_at(shared, SIX))
