from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fmriprep_dataset import SPACE, add_run
from minimal_level import MinimalRun, add_minimal_run
from study_folders import write_affine

from bids_dtg.errors import DatasetError, RunError
from bids_dtg.inputs.dataset import find_dataset
from bids_dtg.inputs.find import find_input_runs
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.selection import Selection
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.inputs.templateflow import TemplateFlow, TransformMissingError

OTHER = "MNI152NLin2009cAsym"
BOLD = np.random.default_rng(0).integers(1, 99, (3, 3, 3, 12)).astype(np.int16)
AFFINE = np.diag([2.0, 2, 2, 1])


@pytest.fixture
def raw(tmp_path) -> Path:
    return tmp_path / "raw"


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "fmriprep"


def add(raw: Path, root: Path, **options: object) -> MinimalRun:
    return add_minimal_run(raw, root, **{"bold": BOLD, "affine": AFFINE, **options})


def find(bids_dir: Path, *derivatives: str, **rule: object) -> tuple[RestRun, ...]:
    dataset = find_dataset(bids_dir, derivatives)
    rule = {"templateflow": TemplateFlow(bids_dir.parent / "templateflow"), **rule}
    return find_input_runs(dataset, "01", rule=SpaceRule(**rule))


@pytest.mark.parametrize("grid", ["boldref", "run"])
def test_a_raw_series_with_its_motion(raw, root, grid):
    files = add(raw, root, grid=grid, entities="run-01", tr=1.5, with_confounds=True)
    (run,) = find(raw, f"fmriprep={root}")
    assert (run.bold, run.motion, run.mask) == (files.raw, files.motion, files.mask)
    assert (run.confounds, run.tr_seconds, run.title) == (
        files.confounds,
        1.5,
        "sub-01_task-rest_run-01",
    )
    anat = root / f"sub-01/anat/sub-01_from-T1w_to-{SPACE}_mode-image_xfm.txt"
    assert [t.path for t in run.transforms] == [anat, files.coregistration]
    assert {files.raw, files.motion, files.mask, files.coregistration} <= set(run.inputs)
    assert run.space_reason == (
        f"the raw series, realigned by {files.motion.name}, with the transforms to {SPACE}; "
        "there is no desc-preproc series"
    )
    assert find(root, f"raw={raw}") == (run,)


def test_where_the_raw_dataset_is_looked_for(raw, root, tmp_path):
    files = add(raw, root)
    with pytest.raises(
        RunError, match=r"and no raw series\. Expected: the raw dataset as BIDS_DIR"
    ):
        find(root)
    description = json.loads((root / "dataset_description.json").read_text())
    (root / "dataset_description.json").write_text(
        json.dumps(description | {"DatasetLinks": {"raw": "a" * 5000}})
    )
    with pytest.raises(RunError, match="and no raw series"):
        find(root)
    for link in ("../raw", f"file://{raw}"):
        described = description | {"DatasetLinks": {"raw": link}}
        (root / "dataset_description.json").write_text(json.dumps(described))
        assert find(root)[0].bold.samefile(files.raw)
    inside = add(raw, raw / "derivatives" / "fmriprep")
    assert find(raw)[0].motion == inside.motion
    assert find(raw / "derivatives" / "fmriprep")[0].bold == files.raw
    with pytest.raises(DatasetError, match="--derivatives names 2 raw datasets"):
        find(root, f"raw={raw}", f"raw={tmp_path}")
    with pytest.raises(DatasetError, match=r"--derivatives raw \S+nowhere does not exist"):
        find(root, f"raw={tmp_path / 'nowhere'}")


def test_a_realigned_series_comes_before_the_raw_one(raw, root):
    add(raw, root)
    preproc = add_run(root)
    (run,) = find(raw, f"fmriprep={root}")
    assert (run.bold, run.motion) == (preproc, None)
    add(raw, root, entities="run-2")
    realigned, unprocessed = find(raw, f"fmriprep={root}")
    assert (realigned.motion, unprocessed.title) == (None, "sub-01_task-rest_run-2")


def test_a_run_without_its_raw_series_is_left_out_where_there_are_others(raw, root):
    add(raw, root, entities="run-1")
    add(raw, root, entities="run-2").raw.unlink()
    with pytest.warns(
        UserWarning, match=r"run-2\S* is left out: sub-01_task-rest_run-2 was prepro"
    ):
        (run,) = find(raw, f"fmriprep={root}")
    assert run.title == "sub-01_task-rest_run-1"


def with_fieldmap(files: MinimalRun, target: str) -> None:
    origin = "run" if "to-run" in files.motion.name else "boldref"
    write_affine(files.motion.with_name(f"sub-01_task-rest_from-{origin}_to-{target}_xfm.txt"))


def with_json(path: Path, **more: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


@pytest.mark.parametrize(
    ("grid", "spoil", "named"),
    [
        ("boldref", lambda f: with_fieldmap(f, "auto00000"), r"from-boldref_to-auto00000_xfm\.txt"),
        ("run", lambda f: with_fieldmap(f, "TOPUP"), r"from-run_to-TOPUP_xfm\.txt"),
        (
            "boldref",
            lambda f: with_json(f.raw.with_name("sub-01_task-rest_bold.json"), B0FieldSource="pe0"),
            r"B0FieldSource 'pe0' in sub-01_task-rest_bold\.json",
        ),
        (
            "boldref",
            lambda f: with_json(
                f.coregistration.with_suffix(".json"),
                Sources=["bids::sub-01/fmap/sub-01_fmapid-auto00000_desc-preproc_fieldmap.nii.gz"],
            ),
            r"a source of sub-01_task-rest_from-boldref_to-T1w\S+coreg_xfm\.json",
        ),
    ],
)
def test_a_run_with_a_fieldmap_is_refused_by_name(raw, root, grid, spoil, named):
    spoil(add(raw, root, grid=grid))
    line = rf"sub-01_task-rest has a fieldmap \(.*{named}\).*To do: rerun fMRIPrep .*--level full"
    with pytest.raises(RunError, match=line):
        find(raw, f"fmriprep={root}")


def test_single_echoes_are_not_combined(raw, root):
    for echo in (1, 2):
        motion = add(raw, root, entities=f"echo-{echo}").motion
        name = motion.name.replace(f"_echo-{echo}", "")
        motion.rename(motion.with_name(name))
    for path in (root / "sub-01" / "func").glob("*echo*"):
        path.unlink()
    with pytest.raises(RunError, match=r"single echoes only \(echo 1, 2\).*--level full"):
        find(raw, f"fmriprep={root}")


def test_through_the_usual_template_and_templateflows_transform(raw, root, tmp_path):
    files = add(raw, root, template=OTHER)
    with pytest.raises(TransformMissingError, match=r"To do: curl .*_xfm\.h5"):
        find(raw, f"fmriprep={root}")
    between = tmp_path / f"templateflow/tpl-{SPACE}/tpl-{SPACE}_from-{OTHER}_mode-image_xfm.h5"
    between.parent.mkdir(parents=True)
    between.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.warns(UserWarning, match="has 8 bytes"):
        (run,) = find(raw, f"fmriprep={root}")
    anat = root / f"sub-01/anat/sub-01_from-T1w_to-{OTHER}_mode-image_xfm.txt"
    assert [t.path for t in run.transforms] == [between, anat, files.coregistration]
    assert f"with the transforms to {OTHER} and from there to {SPACE}" in run.space_reason


def test_what_leads_nowhere_is_said(raw, root):
    files = add(raw, root)
    files.coregistration.unlink()
    with pytest.raises(RunError, match=r"has no sub-01_task-rest_from-boldref_to-T1w\S+coreg"):
        find(raw, f"fmriprep={root}")
    with pytest.raises(RunError, match=rf"no version in {OTHER} of .*Expected: one of boldref"):
        find(raw, f"fmriprep={root}", asked=OTHER)


def test_tasks_are_chosen_among_raw_series_too(raw, root):
    add(raw, root)
    dataset = find_dataset(raw, [f"fmriprep={root}"])
    with pytest.raises(RunError, match=r"no run of task nback; it has task-rest"):
        find_input_runs(dataset, "01", Selection(tasks=["nback"]), rule=SpaceRule())
