from __future__ import annotations

import json
import os
import pickle
import warnings
from pathlib import Path

import pytest
from fmriprep_dataset import add_run, describe_dataset
from study_folders import add_transforms

from bids_dtg.errors import ForeignFileError, RunError, SettingsError
from bids_dtg.inputs.runs import find_runs, refuse_echoes, run_of_file
from bids_dtg.inputs.selection import Selection, read_filter_file
from bids_dtg.inputs.space_choice import SpaceRule


@pytest.fixture(autouse=True)
def no_templates(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv(
        "TEMPLATEFLOW_HOME", str(tmp_path_factory.mktemp("templateflow"))
    )


@pytest.fixture
def root(tmp_path) -> Path:
    return describe_dataset(
        tmp_path / "task-motor_ses-9" / "sub-77" / "anat" / "fmriprep"
    )


def titles(runs):
    return [run.title for run in runs]


def test_a_run_with_all_its_files(root):
    bold = add_run(root, "01", session="A", entities="acq-mb_run-01", tr=0.72)
    (run,) = find_runs(root, "01")
    assert run.bold == bold
    assert run.mask == bold.with_name(bold.name.replace("preproc_bold", "brain_mask"))
    assert run.confounds is not None
    assert run.confounds.name == (
        "sub-01_ses-A_task-rest_acq-mb_run-01_desc-confounds_timeseries.tsv"
    )
    assert (run.participant, run.session, run.task, run.space) == (
        "01",
        "A",
        "rest",
        "MNI152NLin6Asym",
    )
    assert dict(run.entities)["run"] == "01"
    assert run.tr_seconds == 0.72
    assert [path.suffix for path in run.inputs] == [".gz", ".gz", ".tsv", ".json"]
    assert run.title == "sub-01_ses-A_task-rest_acq-mb_run-01"
    assert pickle.loads(pickle.dumps(run)) == run


def test_old_names_and_absent_companions(root):
    add_run(root, confounds_suffix="regressors", parts=("bold", "confounds"))
    (run,) = find_runs(root, "01")
    assert run.confounds is not None
    assert run.confounds.name.endswith("_regressors.tsv")
    assert (run.mask, run.tr_seconds, run.sidecars) == (None, None, ())


def test_every_rest_task_by_default_and_labels_in_any_spelling(root):
    for task in ("rest", "Resting", "restAP", "nback", "arest"):
        add_run(root, task=task, session="A")
    add_run(root, session="B")
    assert [run.task for run in find_runs(root, "01", Selection(["ses-A"]))] == [
        *("Resting", "rest", "restAP")
    ]
    assert [
        run.task for run in find_runs(root, "01", Selection(tasks=["task-nback"]))
    ] == ["nback"]
    assert titles(find_runs(root, "01", Selection(["B"]))) == ["sub-01_ses-B_task-rest"]


def test_resolution_two_wins_then_none(root):
    add_run(root, res="1")
    add_run(root, res=None)
    assert "_res-" not in find_runs(root, "01")[0].bold.name
    add_run(root, res="02")
    (run,) = find_runs(root, "01")
    assert "_res-02_" in run.bold.name
    assert run.mask is not None
    assert "_res-02_" in run.mask.name


def test_runs_come_in_natural_order(root):
    for run in (10, 9, 1):
        add_run(root, entities=f"run-{run}", parts=("bold",))
    assert [dict(run.entities)["run"] for run in find_runs(root, "01")] == [
        "1",
        "9",
        "10",
    ]


def test_uncompressed_and_phase_files(root):
    add_run(root, extension=".nii")
    add_run(root, task="restB", entities="part-phase")
    add_run(root, task="restC", entities="part-mag")
    assert [run.task for run in find_runs(root, "01")] == ["rest", "restC"]


@pytest.mark.slow
def test_echoes(root):
    for echo in (1, 2):
        add_run(root, entities=f"echo-{echo}")
    (run,) = find_runs(root, "01", Selection(filters={"echo": 2}))
    assert dict(run.entities)["echo"] == "2"
    add_run(root)
    assert titles(find_runs(root, "01")) == ["sub-01_task-rest"]


@pytest.mark.slow
def test_filters_mean_what_pybids_means(root):
    for entities in ("", "acq-mb", "acq-sb", "dir-AP_run-1", "dir-AP_run-2"):
        add_run(root, entities=entities)

    def found(**bids_filter):
        return [
            name.partition("task-rest")[2]
            for name in titles(
                find_runs(root, "01", selection=Selection(filters=bids_filter))
            )
        ]

    add_run(root, task="nback")
    assert titles(find_runs(root, "01", Selection(filters={"task": "nback"}))) == [
        "sub-01_task-nback"
    ]
    assert found(acq="mb") == ["_acq-mb"]
    assert found(acq=["mb", None], run=None) == ["", "_acq-mb"]
    assert found(acq="*") == ["_acq-mb", "_acq-sb"]
    assert (
        found(acq="Query.ANY") == found(acq="Query.REQUIRED") == ["_acq-mb", "_acq-sb"]
    )
    assert found(acq="Query.NONE", dir="AP", run=2) == ["_dir-AP_run-2"]
    assert found(run="01") == ["_dir-AP_run-1"]
    assert found(
        suffix="bold", datatype="func", extension=".nii.gz", desc="preproc", run="*"
    ) == [
        "_dir-AP_run-1",
        "_dir-AP_run-2",
    ]


def test_filter_file(tmp_path):
    path = tmp_path / "filter.json"
    path.write_text(
        json.dumps({"bold": {"acq": "mb", "echo": None}, "t1w": {"x": 1}, "sbref": {}})
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_filter_file(path) == {"acq": "mb", "echo": None}


def test_a_filter_file_for_other_images_alone_selects_no_series(tmp_path):
    path = tmp_path / "filter.json"
    path.write_text('{"t1w": {"acquisition": "mprage"}, "fmap": {}}')
    assert read_filter_file(path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "holds no JSON object"),
        ('{"bold": 3}', "has no filters"),
        ('{"bold": {"acq": {"a": 1}}}', "acq is {'a': 1}"),
        ('{"bold": {"run": [true, 2]}}', "run is True"),
        ('{"bold": {"run": []}}', "run is an empty list, which no file matches"),
        (f'{{"bold": {{"run": {"1" * 5000}}}}}', "cannot be read"),
        (
            '{"bold": {"spac": "T1w"}}',
            r"'bold\.spac' is not known\..*did you mean space\?",
        ),
        (
            '{"bold": {"Session": "A"}}',
            r"'bold\.Session' is not known\..*did you mean session\?",
        ),
        (
            '{"bold": {"banana": 1}}',
            r"'bold\.banana' is not known\. Expected: one of acq, ",
        ),
        ('{"blod": {"run": 1}}', "has no filters for 'bold'"),
    ],
)
def test_bad_filter_files(tmp_path, text, message):
    path = tmp_path / "filter.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=rf"filter\.json.*{message}"):
        read_filter_file(path)


@pytest.mark.parametrize(
    ("runs", "selection", "message"),
    [
        (
            [{"task": "nback"}, {"task": "faces"}],
            Selection(),
            r"has no resting-state run; it has task-faces, task-nback.*--task-id",
        ),
        (
            [{}],
            Selection(tasks=["task-motor", "faces"]),
            r"has no run of task motor or faces; it has task-rest\. To do: .*--task-id",
        ),
        (
            [{"session": "A"}],
            Selection(sessions=["B"]),
            r"has no session B; it has ses-A\. To do: .*--session-label",
        ),
        ([{}], Selection(filters={"acq": "xx"}), "the BIDS filter file matches none"),
        (
            [{"entities": "echo-1"}, {"entities": "echo-2"}],
            Selection(),
            r"has only single echoes \(echo 1, 2\).*echo",
        ),
    ],
)
def test_runs_that_are_not_there_are_named_with_those_that_are(
    root, runs, selection, message
):
    for options in runs:
        add_run(root, **options)
    with pytest.raises(RunError, match=f"sub-01:? {message}"):
        find_runs(root, "01", selection)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["space-fsLR_den-91k_bold.dtseries.nii", "space-fsLR_den-91k_bold.json"],
            r"It has \S+\.dtseries\.nii\. Expected: NIfTI volumes in MNI",
        ),
        # fMRIPrep's lists of what its tests write (.circleci/ds054_outputs.txt at 1a55c61e).
        (
            [
                "from-orig_to-boldref_mode-image_desc-hmc_xfm.txt",
                "desc-hmc_boldref.nii.gz",
            ],
            r"no BOLD series in .*only \S+boldref.nii.gz\. .*To do: fmriprep --level full",
        ),
    ],
)
def test_what_holds_no_volumes_is_refused_by_name(root, names, message):
    func = root / "sub-01" / "func"
    func.mkdir(parents=True)
    for name in names:
        (func / f"sub-01_task-rest_{name}").write_bytes(b"x")
    with pytest.raises(RunError, match=message):
        find_runs(root, "01")


@pytest.mark.parametrize(
    ("label", "name", "message"),
    [
        (
            "a_b",
            "a_b",
            r"BIDS: sub 'a_b' cannot be .* letters and digits only\. To do: rename",
        ),
        (
            "01",
            "01_x",
            "sub-01_x_task-rest_bold.nii.gz in .* has a name that is not BIDS",
        ),
    ],
)
def test_series_without_a_bids_name_are_not_taken_for_absent(
    root, label, name, message
):
    func = root / f"sub-{label}" / "func"
    func.mkdir(parents=True)
    for extension in ("nii.gz", "json"):
        (func / f"sub-{name}_task-rest_bold.{extension}").write_bytes(b"x")
    with pytest.raises(RunError, match=message):
        find_runs(root, label)


def test_other_spaces_only(root):
    add_run(root, space="MNI152NLin2009cAsym", res=None)
    add_run(root, space=None, res=None)
    with pytest.raises(
        RunError,
        match=r"sub-01_task-rest is in other spaces only \(MNI152NLin2009cAsym, boldref\), and "
        r".*/anat has no sub-01_from-T1w_to-MNI152NLin6Asym_mode-image_xfm\.h5; "
        r".*/tpl-MNI152NLin6Asym_from-MNI152NLin2009cAsym_mode-image_xfm\.h5 is missing.*"
        r"To do: curl .* \(bids_dtg fetches it, unless DTG_OFFLINE is set\)\.$",
    ):
        find_runs(root, "01")
    # Parcels are read from volumes, at the vertices of the template's surface.
    (run,) = find_runs(root, "01", rule=SpaceRule(model="fsLR parcels"))
    assert run.surfaces.template == "MNI152NLin2009cAsym"
    assert not run.surfaces.sides


@pytest.mark.parametrize("pointer", [True, False], ids=["pointer", "link"])
def test_all_files_of_the_runs_that_are_elsewhere_are_named_at_once(root, pointer):
    for number in (1, 2, 3):
        add_run(root, entities=f"run-{number}")
    add_run(root, entities="run-2", space="T1w", res=None)
    gone = [
        path
        for path in (root / "sub-01" / "func").iterdir()
        if "run-3" not in path.name
    ]
    for path in gone:
        path.unlink()
        if pointer:
            path.write_text("/annex/objects/SHA256E-s1234--abc\n")
        else:
            path.symlink_to("../../.git/annex/objects/x")
    with pytest.raises(RunError) as caught:
        find_runs(root, "01")
    line = str(caught.value)
    assert "has no content here: " in line
    assert "(as are 7 other files)" in line
    command = line.partition("To do: datalad get ")[2].removesuffix(".").split()
    # The version that is not read, in T1w space, is not fetched.
    wanted = [path for path in gone if "_space-T1w_" not in path.name]
    assert (len(command), set(command)) == (8, set(map(str, wanted)))


def test_repetition_time_is_inherited(root):
    add_run(root, session="A", parts=("bold",))
    for name, seconds in (("bold.json", 2.5), ("task-rest_bold.json", 3.0)):
        (root / name).write_text(f'{{"RepetitionTime": {seconds}}}')
        (run,) = find_runs(root, "01")
        assert run.tr_seconds == seconds
    near = root / "sub-01" / "sub-01_task-rest_space-MNI152NLin6Asym_bold.json"
    near.write_text('{"RepetitionTime": 1.5}')
    (root / "task-nback_bold.json").write_text('{"RepetitionTime": 9.0}')
    (run,) = find_runs(root, "01")
    assert (run.tr_seconds, run.sidecars) == (1.5, (near,))


@pytest.mark.parametrize(
    "value", ["0", '"2.0"', "true", "NaN", "[2]", "20.5", "9" * 400]
)
def test_impossible_repetition_time(root, value):
    bold = add_run(root)
    sidecar = bold.with_name(bold.name.replace(".nii.gz", ".json"))
    sidecar.write_text(f'{{"RepetitionTime": {value}}}')
    with pytest.raises(
        RunError, match=r"desc-preproc_bold\.json: RepetitionTime is.*at most 20"
    ):
        find_runs(root, "01")


def test_folders_of_network_drives_hold_no_runs(root):
    bold = add_run(root, session="A")
    (run,) = find_runs(root, "01")
    for drive in ("@eaDir", ".AppleDouble", "#recycle", "lost+found"):
        for folder in (bold.parent.parent, bold.parent):
            (folder / drive / "func").mkdir(parents=True)
            # Thumbnails in a folder of the file's name, and copies that were removed.
            (folder / drive / bold.name).mkdir()
            (folder / drive / "func" / "sub-01_task-rest_bold.nii.gz").write_bytes(b"x")
    assert find_runs(root, "01") == (run,)


def test_a_run_in_another_space_only_is_told(root):
    add_run(root, entities="run-1")
    add_run(root, entities="run-1", space="T1w", res=None)
    add_run(root, entities="run-2", space="T1w", res=None)
    with pytest.warns(
        UserWarning, match="sub-01_task-rest_run-2 is left out"
    ) as caught:
        assert titles(find_runs(root, "01")) == ["sub-01_task-rest_run-1"]
    assert len(caught) == 1


@pytest.mark.parametrize(
    "name",
    [
        "desc-confounds_timeseries.tsv",
        "space-fsLR_den-91k_bold.dtseries.nii",
        "space-MNI152NLin6Asym_res-2_desc-smoothed_bold.nii.gz",
    ],
)
def test_a_run_without_its_series_is_told(root, recwarn, name):
    """As an interrupted fMRIPrep leaves it."""
    bold = add_run(root, entities="run-01")
    for surface in (
        "run-01_hemi-L_space-fsaverage_bold.func.gii",
        "run-1_echo-1_bold.json",
    ):
        bold.with_name(f"sub-01_task-rest_{surface}").touch()
    (bold.parent / f"sub-01_task-nback_{name}").touch()
    assert titles(find_runs(root, "01")) == ["sub-01_task-rest_run-01"]
    assert not recwarn.list
    lost = bold.with_name(f"sub-01_task-rest_run-02_{name}")
    lost.touch()
    line = rf"rest_run-02 is left out: it has {lost.name}, but no series such as {bold.name}"
    with pytest.warns(UserWarning, match=line):
        assert titles(find_runs(root, "01")) == ["sub-01_task-rest_run-01"]


def test_participant_that_is_not_there(root):
    with pytest.raises(RunError, match="sub-07 is not in"):
        find_runs(root, "07")


# --- A run's own files


@pytest.mark.parametrize("other_entities", ["acq-mb", "dir-PA", "run-2"])
def test_another_run_s_table_and_mask_are_not_taken(root, other_entities):
    add_run(root)
    add_run(root, entities=other_entities, parts=("bold", "json"))
    with_table, bare = find_runs(root, "01")
    assert with_table.mask.name.startswith("sub-01_task-rest_space-")
    assert with_table.confounds.name == "sub-01_task-rest_desc-confounds_timeseries.tsv"
    assert (bare.title, bare.mask, bare.confounds) == (
        f"sub-01_task-rest_{other_entities}",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("series", "companions"), [("run-1_part-mag", "run-1"), ("run-1", "run-01")]
)
def test_names_of_a_run_s_files_may_lack_part_and_write_its_number_otherwise(
    root, series, companions
):
    add_run(root, entities=series, parts=("bold", "json"))
    add_run(root, entities=companions, parts=("mask", "confounds"))
    (run,) = find_runs(root, "01")
    assert run.mask.name.startswith(f"sub-01_task-rest_{companions}_space-")
    assert (
        run.confounds.name
        == f"sub-01_task-rest_{companions}_desc-confounds_timeseries.tsv"
    )


def test_a_run_without_its_own_coregistration_is_refused(root):
    for entities in ("", "acq-mb"):
        add_run(root, entities=entities, space=None, res=None)
    func, anat = root / "sub-01" / "func", root / "sub-01" / "anat"
    anat.mkdir()
    (anat / "sub-01_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5").write_bytes(b"x")
    name = "sub-01_task-rest{}_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"
    (func / name.format("")).write_bytes(b"x")
    with pytest.raises(
        RunError, match=rf"has no {name.format('_acq-mb')}\..*rerun fMRIPrep"
    ):
        find_runs(root, "01")
    (func / name.format("_acq-mb")).write_bytes(b"x")
    assert [run.transforms[1].path.name for run in find_runs(root, "01")] == [
        name.format(""),
        name.format("_acq-mb"),
    ]


@pytest.mark.parametrize(
    ("name", "copy"),
    [
        (
            "sub-01_task-rest_space-MNI152NLin6Asym_res-2_desc-brain_mask.nii.gz",
            ("nii.gz", "nii"),
        ),
        ("sub-01_task-rest_run-1_desc-confounds_timeseries.tsv", ("run-1", "run-01")),
    ],
)
def test_two_companions_that_fit_equally_are_refused_with_both_names(root, name, copy):
    bold = add_run(root, entities="run-1" if "run-1" in name else "")
    twin = bold.parent / name.replace(*copy)
    twin.write_bytes((bold.parent / name).read_bytes())
    with pytest.raises(RunError, match="two files may be the") as caught:
        find_runs(root, "01")
    assert str(bold.parent / name) in str(caught.value)
    assert str(twin) in str(caught.value)


def test_two_coregistrations_of_a_run_are_refused(root):
    add_run(root, space=None, res=None)
    add_transforms(root)
    func = root / "sub-01" / "func"
    name = "sub-01_task-rest_from-boldref_to-T1w_mode-image_{}xfm.txt"
    (func / name.format("desc-coreg_")).rename(func / name.format("desc-old_"))
    (func / name.format("")).write_bytes(b"x")
    with pytest.raises(
        RunError, match=r"two files may be .*desc-old_xfm\.txt and .*image_xfm\.txt"
    ):
        find_runs(root, "01")


# --- Joins of runs


@pytest.mark.parametrize("kind", ["nifti", "cifti"])
@pytest.mark.parametrize(
    ("names", "joins"),
    [
        (["", "run-1", "run-2"], {""}),
        (["", "dir-AP", "dir-PA"], {""}),
        # Joins over run- alone, and over both.
        (
            ["", "dir-AP", "dir-AP_run-1", "dir-AP_run-2", "dir-PA_run-1"],
            {"", "dir-AP"},
        ),
        (["", "acq-a_run-1", "acq-b_run-1"], set()),  # it joins no acquisitions
        (["", "run-001"], {""}),  # as of its own tests: test_nibabies_outputs.txt
    ],
)
def test_xcpd_s_joins_over_runs_and_directions_are_left_out(
    root, recwarn, kind, names, joins
):
    ending, model = {
        "nifti": (
            "space-MNI152NLin6Asym_res-2_desc-denoised_bold.nii.gz",
            "MNI152NLin6Asym",
        ),
        "cifti": ("space-fsLR_seg-A_stat-mean_timeseries.ptseries.nii", "fsLR parcels"),
    }[kind]
    func = root / "sub-01" / "func"
    func.mkdir(parents=True)
    stems = {name: "_".join(filter(None, ["sub-01_task-rest", name])) for name in names}
    for stem in stems.values():
        (func / f"{stem}_{ending}").write_bytes(b"x")
    runs = find_runs(root, "01", rule=SpaceRule(model=model), input_type="xcpd")
    assert set(titles(runs)) == {stems[name] for name in names if name not in joins}
    lines = [str(warning.message) for warning in recwarn]
    assert len(lines) == len(joins)
    assert all(" is left out: it joins sub-01_task-rest_" in line for line in lines)


# --- One measurement twice


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("rec-norm", "rec-raw"),
        ("rec-moco", ""),
        ("hash-0ab1c2", "hash-9ff001"),
        ("part-mag", ""),
        ("run-1", "run-01"),
        ("acq-a", "acq-A"),
    ],
)
def test_one_measurement_in_two_files_is_refused_with_both_names(root, first, second):
    paths = sorted(add_run(root, entities=entities) for entities in (first, second))
    with pytest.raises(RunError) as caught:
        find_runs(root, "01")
    assert (
        f"two files of one measurement, {paths[0]} and {paths[1]}. Expected: one"
        in str(caught.value)
    )


@pytest.mark.parametrize("place", ["beside", "raw"])
@pytest.mark.parametrize("key", ["SeriesInstanceUID", "AcquisitionTime"])
def test_echoes_that_are_named_as_runs_are_refused(root, tmp_path, place, key):
    scans = {1: ("1.3.12", 0.013), 2: ("1.3.12", 0.028), 3: ("1.3.13", 0.013)}
    raw = tmp_path / "raw"
    for number, (value, echo_time) in scans.items():
        bold = add_run(root, entities=f"run-{number}")
        sidecar = bold.with_name(bold.name.replace(".nii.gz", ".json"))
        if place == "raw":
            sidecar = (
                raw / "sub-01" / "func" / f"sub-01_task-rest_run-{number}_bold.json"
            )
            sidecar.parent.mkdir(parents=True, exist_ok=True)
        facts = {"RepetitionTime": 2.0, key: value, "EchoTime": echo_time}
        sidecar.write_text(json.dumps(facts))
    runs = find_runs(root, "01")
    refuse_echoes(runs[1:], raw)
    line = rf"rest_run-1 and \S+rest_run-2 are echoes .* {key}, and the EchoTime 0\.013 and 0\.028"
    with pytest.raises(RunError, match=line):
        refuse_echoes(runs, raw)


@pytest.mark.parametrize(
    ("entities", "facts"),
    [
        (("acq-mb", "acq-sb"), {"SeriesInstanceUID": "1.3.12"}),
        (("acq-mb", "acq-sb"), {"AcquisitionTime": "10:11:12"}),
        (("run-1", "run-2"), {"AcquisitionTime": "00:00:00"}),
        (("run-1", "run-2"), {"AcquisitionTime": "00:00:00.000000"}),
        (("run-1", "run-2"), {"AcquisitionDateTime": "1925-01-01T00:00:00.000000"}),
        (("run-1", "run-2"), {"SeriesTime": 0}),
    ],
)
def test_other_scans_and_anonymised_times_are_no_echoes(root, entities, facts):
    for number, entity in enumerate(entities, 1):
        bold = add_run(root, entities=entity)
        sidecar = bold.with_name(bold.name.replace(".nii.gz", ".json"))
        facts = {"RepetitionTime": 2.0, "EchoTime": 0.01 * number, **facts}
        facts["EchoTime"] = 0.01 * number
        sidecar.write_text(json.dumps(facts))
    runs = find_runs(root, "01")
    assert len(runs) == 2
    refuse_echoes(runs, None)


def test_a_copy_of_a_series_is_refused_wherever_it_lies(root):
    bold = add_run(root)
    for copy in (bold.with_suffix(""), bold.parent / "old" / bold.name):
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(b"x")
        with pytest.raises(
            RunError, match="has two files of one measurement"
        ) as caught:
            find_runs(root, "01")
        assert str(copy) in str(caught.value)
        copy.unlink()
    add_run(root, entities="rec-a", space="T1w", res=None)
    with pytest.raises(RunError, match="has two files of one measurement"):
        find_runs(root, "01")


@pytest.mark.parametrize("folder", ["sub-01", "sub-01/ses-A", "sub-01/ses-A/func"])
def test_a_folder_that_may_not_be_listed_is_not_taken_for_empty(
    root, monkeypatch, folder
):
    add_run(root, "01", session="A")
    closed, scandir = str(root / folder), os.scandir

    def refuses(path):
        if str(path) == closed:
            raise PermissionError(13, "Permission denied", closed)
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuses)
    with pytest.raises(
        ForeignFileError, match=f"{folder} cannot be listed: Permission"
    ):
        find_runs(root, "01")


def test_a_mask_is_of_the_cohort_of_its_series(root):
    bolds = [
        add_run(root, space=f"MNIInfant_cohort-{number}", res=None) for number in (1, 2)
    ]
    rule = SpaceRule(model="MNIInfant")
    masks = [run_of_file(bold, root, rule=rule).mask for bold in bolds]
    wanted = [bold.name.replace("preproc_bold", "brain_mask") for bold in bolds]
    assert [mask.name for mask in masks] == wanted
