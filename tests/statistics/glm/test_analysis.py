from __future__ import annotations

import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import add_run
from task_dataset import MOTOR, add_task_run, make_task_dataset
from task_run import TaskPlan, true_effects

from bids_dtg.cli.run import main
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.files.text import read_rows
from bids_dtg.inputs.statmap_files import find_statmap_files
from bids_dtg.inputs.statmaps import choose_sessions, choose_statistic, group_maps
from bids_dtg.phantom.streams import Cohort

# Longer than needed to be read, so that maps can be compared with the truth.
PLAN = TaskPlan("MOTOR", blocks=3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two people: one with two runs, one with a run in each of two sessions."""
    raw, derivatives = make_task_dataset(tmp_path_factory.mktemp("data"))
    description = json.loads((derivatives / "dataset_description.json").read_text())
    text = json.dumps(description | {"Simulated": True})
    (derivatives / "dataset_description.json").write_text(text)
    phantom = Phantom(block=4)
    for run in range(2):
        add_task_run(raw, derivatives, phantom.person(Cohort.DEMO, 0), PLAN, run)
        person = phantom.person(Cohort.DEMO, 1)
        session = f"{run + 1}"
        add_task_run(raw, derivatives, person, PLAN, run, label="02", session=session)
    (raw / "glm.toml").write_text(MOTOR)
    (raw / "quick.toml").write_text(f'noise_model = "ols"\n{MOTOR}')
    return raw


@pytest.fixture(scope="module")
def results(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert run_glm(dataset, out, model="glm.toml") == 0
    return out / "group" / "glm"


@pytest.fixture
def copied(dataset, tmp_path):
    return shutil.copytree(dataset, tmp_path / "data")


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Draw no brains on pages: they take most of a call's time."""
    for name in ("plot_glass_brain", "plot_design_matrix"):
        monkeypatch.setattr(f"nilearn.plotting.{name}", lambda *_, **__: None)


def run_glm(raw, out, *options, model="quick.toml"):
    path = ["--glm-model", str(raw / model)]
    return main([str(raw), str(out), "group", "--analysis", "glm", *path, *options])


def events(raw, run=1):
    return raw / f"sub-01/func/sub-01_task-motor_run-{run}_events.tsv"


def test_the_maps_are_read_back_as_what_they_are(results):
    maps = group_maps(find_statmap_files(results).files)
    read = {
        (found.participant, found.session, found.contrast): (found.task, found.level, found.runs)
        for found in maps
    }
    assert read == {
        **{("01", None, label): ("motor", "subject", 2) for label in ("motorLh", "motorLhVsRh")},
        **{
            ("02", session, label): ("motor", "session", 1)
            for session in "12"
            for label in ("motorLh", "motorLhVsRh")
        },
    }
    assert {found.space for found in maps} == {"MNI152NLin6Asym"}
    assert all(set(found.files) == {"z", "effect", "variance"} for found in maps)
    people = {
        label: choose_sessions(found for found in maps if found.participant == label)
        for label in ("01", "02")
    }
    # One has two runs and the other one: their z are not on one scale, as the reader knows.
    assert choose_statistic(people)[0] == "effect"


def test_the_known_map_is_recovered_better_by_two_runs(results):
    phantom = Phantom(block=4)
    truth = true_effects(phantom.person(Cohort.DEMO, 0), PLAN)[2]  # LH
    name = "sub-01_task-motor_{}space-MNI152NLin6Asym_res-2_contrast-motorLh_stat-{}_statmap.nii.gz"

    def r(level, run, statistic):
        path = results / f"node-{level}" / "sub-01/func" / name.format(run, statistic)
        values = nib.load(path).get_fdata()[phantom.anatomy.grey]
        return np.corrcoef(values, truth)[0, 1]

    single = [r("runLevel", f"run-{run}_", "effect") for run in (1, 2)]
    both = r("subjectLevel", "", "effect")
    assert min(single) > 0.5
    assert both > max(single)
    assert r("subjectLevel", "", "z") == pytest.approx(both, abs=0.05)


def test_tables_and_sidecars_say_how_it_was_made(results):
    runs = read_rows(results / "desc-runs_qc.tsv")
    assert runs[0]["run"] == "sub-01_task-motor_run-1"
    assert len(runs) == 4
    conditions = read_rows(results / "desc-conditions_qc.tsv")
    assert {row["trials"] for row in conditions} == {"3"}
    contrasts = read_rows(results / "desc-contrasts_qc.tsv")
    assert all(1 <= float(row["inflation"]) < 4 for row in contrasts)
    folder = results / "node-subjectLevel" / "sub-01" / "func"
    (path,) = folder.glob("*statmap.json")
    sidecar = json.loads(path.read_text())
    assert sidecar["NumberOfRuns"] == 2
    assert sidecar["HaemodynamicResponse"] == "spm"
    own = [float(row["residual_dof"]) for row in runs[:2]]
    assert sidecar["ResidualDegreesOfFreedom"] == sum(own)
    page = (results / "statistics_report.html").read_text()
    assert "Simulated people: not for science" in page
    assert "Glass brain of the mean z of motorLh" in page
    # Noise has no blobs, and is not called active.
    assert "without any threshold, all on one scale" in page
    assert "can be many times as much without any response" in page
    assert "active" not in page.split("</style>")[1].split("<script")[0].lower()
    assert "sub-01_task-motor_run-1" in page


@pytest.mark.slow
def test_the_folder_is_made_anew_and_names_make_others(dataset, results, tmp_path):
    out = shutil.copytree(results.parents[1], tmp_path / "out")
    own = out / "group/glm/node-runLevel/own.nii.gz"
    own.touch()
    old = out / "group/glm/node-runLevel/sub-01"
    assert run_glm(dataset, out, "--participant-label", "01", "--name", "a") == 0
    assert list(old.rglob("*_statmap.nii.gz"))
    assert not (out / "group/glm-a/node-runLevel/sub-02").exists()
    assert run_glm(dataset, out, "--participant-label", "02") == 0
    assert not list(old.rglob("*_statmap.*"))
    assert own.exists()


TROUBLE = {
    "no event file": (lambda path: path.unlink(), "run-1 has no event file"),
    "empty": (lambda path: path.write_text("onset\tduration\ttrial_type\n"), "has no trial: 0"),
    "no onset": (
        lambda path: path.write_text(re.sub(r"\n[\d.]+", "\nn/a", path.read_text(), count=1)),
        "has the onset 'n/a' in row 1",
    ),
    "milliseconds": (
        lambda path: path.write_text(
            re.sub(r"\n([\d.]+)", lambda found: f"\n{1000 * float(found[1]):g}", path.read_text())
        ),
        "begin after the end of the run .* divide onsets and durations by 1000",
    ),
    "misspelt": (
        lambda path: path.write_text(path.read_text().replace("LH", "lh")),
        r"no trial of LH \(it has lh, which no contrast names\)",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_run_that_cannot_be_used_is_left_out_alone(copied, tmp_path, capsys, trouble):
    change, words = TROUBLE[trouble]
    change(events(copied))
    assert run_glm(copied, tmp_path / "out", "--participant-label", "01") == 1
    assert re.search(words, capsys.readouterr().err)
    (made,) = {
        found.runs for found in group_maps(find_statmap_files(tmp_path / "out/group/glm").files)
    }
    assert made == 1
    assert "run-1" in (tmp_path / "out/group/glm/statistics_report.html").read_text()


def test_a_contrast_without_its_condition_is_left_out_of_that_run(copied, tmp_path, capsys):
    events(copied).write_text(events(copied).read_text().replace("RH", "wrong"))
    assert run_glm(copied, tmp_path / "out", "--participant-label", "01") == 1
    assert "run-1, motorLhVsRh: no trial of RH" in capsys.readouterr().err
    maps = group_maps(find_statmap_files(tmp_path / "out/group/glm").files)
    assert {found.contrast: found.runs for found in maps} == {"motorLh": 2, "motorLhVsRh": 1}


@pytest.mark.slow
def test_a_late_trial_is_reported_and_left_out(copied, tmp_path, capsys):
    with events(copied).open("a") as file:
        file.write("9999\t2\tLH\n")
    assert run_glm(copied, tmp_path / "out", "--participant-label", "01") == 0
    assert "1 trial of" in capsys.readouterr().err


def moved(path, of, onset):
    """Have all trials of a condition begin elsewhere."""
    cells = [line.split("\t") for line in path.read_text().splitlines()]
    lines = [[onset(float(row[0])), *row[1:]] if row[2] == of else row for row in cells]
    path.write_text("\n".join("\t".join(map(str, line)) for line in lines) + "\n")


def frames(raw, run=1):
    (bold,) = (raw / "derivatives/fmriprep/sub-01/func").glob(f"*run-{run}*_bold.nii.gz")
    return bold, nib.load(bold)


@pytest.mark.slow
def test_trials_that_are_over_before_the_run_are_refused_or_left_out(copied, tmp_path, capsys):
    moved(events(copied), "LH", lambda onset: onset - 5000)
    with events(copied, 2).open("a") as file:
        file.write("-1e300\t2\tLH\n")
    assert run_glm(copied, tmp_path / "out", "--participant-label", "01") == 1
    said = capsys.readouterr().err
    assert re.search(r"run-1.*3 of 18 trials end before the first frame.*subtract", said)
    assert re.search(r"1 trial of .*run-2_events.tsv end before the first frame", said)
    assert read_rows(tmp_path / "out/group/glm/desc-runs_qc.tsv")[0]["trials"] == "18"


@pytest.mark.slow
def test_a_condition_at_the_very_end_of_a_run_is_not_estimated(copied, tmp_path, capsys):
    seconds = 1.5 * frames(copied)[1].shape[3]
    moved(events(copied), "LH", lambda _: seconds - 0.1)
    assert run_glm(copied, tmp_path / "out", "--participant-label", "01") == 1
    said = capsys.readouterr().err
    assert "so late that no frame has their response" in said
    assert "run-1: no contrast can be estimated (motorLh: no trial of LH" in said


UNUSUAL = {
    "every row twice": (
        lambda text: text + text.partition("\n")[2],
        "18 rows of .* repeat another one",
    ),
    "a row without its name": (
        lambda text: text + "30\t2\n",
        "1 row of .* have no trial_type",
    ),
    "minutes": (
        lambda text: re.sub(
            r"\n([\d.]+)\t([\d.]+)",
            lambda found: f"\n{float(found[1]) / 60:g}\t{float(found[2]) / 60:g}",
            text,
        ),
        "all trials of .* end within the first .* must be in seconds",
    ),
    "one without an end": (
        lambda text: text + "30\t1e9\tRH\n",
        "1 trial of .* last longer than the run",
    ),
}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_unusual_trials_are_reported(copied, tmp_path, capsys, kind):
    change, words = UNUSUAL[kind]
    events(copied).write_text(change(events(copied).read_text()))
    options = ("--participant-label", "01", "--run", "1")
    assert run_glm(copied, tmp_path / "out", *options) == 0
    assert re.search(words, capsys.readouterr().err)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda values: np.where(np.arange(values.shape[3]) < 1, values + 1, values[..., 1:2]),
            "changes nowhere",
        ),
        (lambda values: values - values.mean(axis=3, keepdims=True), "has means near 0"),
    ],
    ids=["censored alone", "centred"],
)
def test_series_that_do_not_change_or_have_no_mean_are_left_out(
    copied, tmp_path, capsys, change, words
):
    bold, image = frames(copied)
    nib.save(nib.Nifti1Image(change(image.get_fdata(dtype=np.float32)), image.affine), bold)
    assert run_glm(copied, tmp_path / "out", "--participant-label", "01") == 1
    assert re.search(f"run-1.*{words}", capsys.readouterr().err)


@pytest.mark.slow
def test_durations_in_milliseconds_are_refused(copied, tmp_path, capsys):
    header, *rows = events(copied).read_text().splitlines()
    cells = [row.split("\t") for row in rows]
    lines = [f"{onset}\t{float(length) * 1000:g}\t{name}" for onset, length, name in cells]
    events(copied).write_text("\n".join([header, *lines]) + "\n")
    run_glm(copied, tmp_path / "out", "--participant-label", "01")
    assert (
        f"{len(lines)} of {len(lines)} trials last longer than the run" in capsys.readouterr().err
    )


@pytest.mark.slow
def test_a_damaged_run_and_too_few_frames_are_left_out(copied, tmp_path, capsys):
    func = copied / "derivatives/fmriprep/sub-01/func"
    (bold,) = func.glob("*run-1*_bold.nii.gz")
    with bold.open("r+b") as file:
        file.truncate(bold.stat().st_size // 2)
    short = np.random.default_rng(0).normal(100, 1, (3, 3, 3, 30)).astype(np.float32)
    add_run(copied / "derivatives/fmriprep", "01", task="motor", entities="run-3", bold=short)
    events(copied, 3).write_text("onset\tduration\ttrial_type\n1\t2\tLH\n30\t2\tRH\n")
    assert run_glm(copied, tmp_path / "out", "--participant-label", "01") == 1
    said = capsys.readouterr().err
    assert re.search(r"run-1.*(ends at frame|damaged)", said)
    assert re.search(r"run-3.* residual degrees of freedom \(30 frames", said)


def test_conditions_that_nobody_has_end_the_call(dataset, tmp_path, capsys):
    (dataset / "wrong.toml").write_text(MOTOR.replace("LH - RH", "LH - rh"))
    assert run_glm(dataset, tmp_path, model="wrong.toml") == 2
    assert "has a trial of rh" in (said := capsys.readouterr().err)
    assert "'RH'" in said
    assert not (tmp_path / "group").exists()


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ('confounds = "simpel"', "simple"),
        ('confounds = ["trans_*", "quite_other"]', "has no column quite_other"),
        ('space = "MNI152NLin2009cAsym"', "MNI152NLin6Asym:res-2"),
    ],
)
def test_models_that_do_not_fit_the_data_are_refused(dataset, tmp_path, capsys, extra, words):
    (dataset / "odd.toml").write_text(f"{extra}\n{MOTOR}")
    assert run_glm(dataset, tmp_path / "out", model="odd.toml") == 2
    assert words in capsys.readouterr().err


def test_a_plan_is_printed_and_nothing_written(dataset, tmp_path, capsys):
    assert run_glm(dataset, tmp_path / "out", "--dry-run") == 0
    assert "4 runs of 2 participants (sub-01, sub-02)" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_the_model_file_is_needed(dataset, tmp_path, capsys):
    assert main([str(dataset), str(tmp_path), "group", "--analysis", "glm"]) == 2
    assert "--analysis glm needs --glm-model" in capsys.readouterr().err


@pytest.mark.parametrize("confounds", ['"simple"', '["trans_?", "cosine*"]', '"scrubbing"', "[]"])
def test_confounds_are_a_strategy_or_columns(dataset, tmp_path, confounds):
    (dataset / "own.toml").write_text(f'noise_model = "ols"\nconfounds = {confounds}\n{MOTOR}')
    options = ("--participant-label", "02", "--session-label", "1")
    assert run_glm(dataset, tmp_path, *options, model="own.toml") == 0
    (path,) = (tmp_path / "group/glm/node-runLevel/sub-02/ses-1/func").glob("*statmap.json")
    columns = json.loads(path.read_text())["DesignColumns"]
    cosines = sum(name.startswith(("cosine", "drift")) for name in columns)
    assert cosines == json.loads(path.read_text())["NumberOfVolumes"] * 1.5 * 2 // 128
    assert ("rot_x" in columns) == ("s" in confounds[:2])
    assert "censored_frame0001" in columns


def test_smoothing_is_nilearns(dataset, tmp_path):
    import pandas as pd
    from nilearn.glm.first_level import FirstLevelModel

    (dataset / "smooth.toml").write_text(f"smoothing_fwhm = 12\nconfounds = []\n{MOTOR}")
    options = ("--participant-label", "02", "--session-label", "1")
    assert run_glm(dataset, tmp_path, *options, model="smooth.toml") == 0
    func = dataset / "derivatives/fmriprep/sub-02/ses-1/func"
    (bold,), (mask,) = func.glob("*_bold.nii.gz"), func.glob("*_mask.nii.gz")
    (table,) = (dataset / "sub-02/ses-1/func").glob("*_events.tsv")
    image = nib.load(bold)
    spikes = pd.DataFrame(np.eye(image.shape[3])[:, :2], columns=["a", "b"])
    model = FirstLevelModel(
        t_r=1.5, mask_img=nib.load(mask), hrf_model="spm", high_pass=1 / 128, smoothing_fwhm=12
    )
    model.fit(image, events=pd.read_csv(table, sep="\t"), confounds=spikes)
    wanted = model.compute_contrast("LH - RH").get_fdata()
    (path,) = (tmp_path / "group/glm/node-runLevel").rglob("*LhVsRh_stat-z_statmap.nii.gz")
    made = nib.load(path).get_fdata()
    inside = nib.load(mask).get_fdata() > 0
    # nilearn computes in single precision here, and takes that for autocorrelations too.
    np.testing.assert_allclose(made[inside], wanted[inside], atol=2e-3)
