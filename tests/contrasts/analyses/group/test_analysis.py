"""The group level: one table, mean maps, pages."""

from __future__ import annotations

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import describe_dataset
from maps_job import TinyJob, add_rest, read_table, tree

from bids_dtg.cli.run import main
from bids_dtg.cohort.maps import find_without_details
from bids_dtg.cohort.mean_maps import mean_of_averages
from bids_dtg.contrasts.panels.presentation import PRESENTATION
from bids_dtg.errors import OutputError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.notices import NO_MASK
from bids_dtg.report.contents import find_participant
from bids_dtg.report.flags import run_flags

PEOPLE = tuple(f"{number:02d}" for number in range(1, 7))


@pytest.fixture(scope="module")
def finished_job(tmp_path_factory) -> TinyJob:
    """Six participants, one without a usable run, after the group level."""
    job = TinyJob(tmp_path_factory.mktemp("group"), PEOPLE)
    add_rest(job.bids, "07", frames=6)
    assert job.run() == 1
    assert main([str(job.bids), str(job.out), "group"]) == 0
    return job


def maps_of(job: TinyJob, contrast: str = "languageMath") -> np.ndarray:
    paths = sorted(
        job.out.glob(f"sub-*/func/*_contrast-{contrast}_*synthetic_statmap.nii.gz")
    )
    return np.stack([nib.load(path).get_fdata() for path in paths])


def pooled_of(out):
    """Return the mean maps of everybody in an output."""
    dataset = DerivativeDataset(out)
    averages = [
        average
        for label in PEOPLE
        for average in find_participant(dataset, label).averages
    ]
    return mean_of_averages(dataset, averages)


def test_the_table_has_a_row_a_run_and_a_dictionary(finished_job):
    rows = read_table(finished_job.out / "group/desc-runs_qc.tsv")
    assert [row["participant_id"] for row in rows] == [
        f"sub-{label}" for label in PEOPLE
    ]
    reported = json.loads((finished_job.out / "group/desc-runs_qc.json").read_text())
    assert set(reported) == set(rows[0])
    runs_quality = read_table(finished_job.out / "sub-01/func/sub-01_task-rest_qc.tsv")[
        0
    ]
    assert {name: rows[0][name] for name in runs_quality} == runs_quality


def test_without_reports_there_are_tables_and_maps_and_no_page(
    finished_job, tmp_path, capsys
):
    out = tmp_path / "out"
    shutil.copytree(finished_job.out, out)
    (out / "index.html").unlink()
    assert main([str(finished_job.bids), str(out), "group", "--no-reports"]) == 0
    assert not list(out.glob("*.html"))
    assert capsys.readouterr().err.endswith(
        f"wrote {out}/group/desc-runs_qc.tsv: 6 runs of 6 participants\n"
    )
    assert tree(out) == {
        k: v for k, v in tree(finished_job.out).items() if not k.endswith(".html")
    }


def test_mean_and_spread_are_those_of_the_maps(finished_job):
    maps = maps_of(finished_job)
    (mean,) = finished_job.out.glob(
        "group/*_contrast-languageMath_*groupMean_statmap.nii.gz"
    )
    (spread,) = finished_job.out.glob(
        "group/*_contrast-languageMath_*groupSd_statmap.nii.gz"
    )
    np.testing.assert_allclose(nib.load(mean).get_fdata(), maps.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(
        nib.load(spread).get_fdata(), maps.std(axis=0, ddof=1), atol=1e-5
    )
    sidecar = json.loads(
        mean.with_name(mean.name.replace(".nii.gz", ".json")).read_text()
    )
    assert sidecar["NSets"] == 6
    assert sidecar["NotForScience"] is True
    assert sidecar["Contrast"] == "MATH"


def test_similarity_is_the_correlation_with_the_mean_of_the_others(finished_job):
    grey = finished_job.bundle.places.mask
    contrasts = [contrast.label for contrast in finished_job.bundle.contrasts]
    expected = np.zeros((len(contrasts), len(PEOPLE)))
    for c, contrast in enumerate(contrasts):
        maps = maps_of(finished_job, contrast)[:, grey]
        for i in range(len(PEOPLE)):
            others_mean = np.delete(maps, i, axis=0).mean(axis=0)
            expected[c, i] = np.corrcoef(maps[i], others_mean)[0, 1]
    rows = read_table(finished_job.out / "group/desc-runs_qc.tsv")
    similarity = [float(row["similarity"]) for row in rows]
    np.testing.assert_allclose(similarity, expected.mean(axis=0), atol=2e-3)


def test_the_page_names_who_failed_and_links_reports(finished_job):
    page = (finished_job.out / "group.html").read_text()
    assert "sub-07" in page
    assert "minutes left" in page
    assert 'href="group.html"' in (finished_job.out / "index.html").read_text()


def test_the_group_page_counts_a_lost_mask_as_the_persons_page_does(
    finished_job, tmp_path
):
    out = shutil.copytree(finished_job.out, tmp_path / "out")
    path = out / "sub-02/sub-02_task-rest_statmap.json"
    sidecar = json.loads(path.read_text())
    sidecar["Runs"][0]["Notes"] = [NO_MASK]
    path.write_text(json.dumps(sidecar))
    files = find_without_details(DerivativeDataset(out), "02")
    flags = run_flags(files, {}, PRESENTATION.quality_columns)
    assert NO_MASK in [flag.text for flag in flags]


@pytest.mark.slow
def test_the_page_and_the_index_show_the_range_of_each_run_and_everybodys_flags(
    finished_job, tmp_path
):
    out = shutil.copytree(finished_job.out, tmp_path / "out")
    verdicts = ("inside", "unusual", "outside", "outside", "inside", "inside")
    for label, verdict in zip(PEOPLE, verdicts, strict=True):
        table = out / f"sub-{label}/func/sub-{label}_task-rest_qc.tsv"
        # Nothing else is wrong with them.
        fine = {"tsnr_median": "100", "fd_mean": "0.1", "residual_dof": "200"}
        judged = {
            "training_distribution": verdict,
            "training_distribution_reasons": f"why {label}",
        }
        row = read_table(table)[0] | fine | judged
        table.write_text("\t".join(row) + "\n" + "\t".join(row.values()) + "\n")
    assert main([str(out), str(out), "participant", "--reports-only"]) == 0
    assert main([str(out), str(out), "group"]) == 0
    page = (out / "group.html").read_text()
    assert "2 of 6 runs are outside, compared with the model" in page
    assert "participants have a problem" in page
    for label, verdict in zip(PEOPLE, verdicts, strict=True):
        row = page.partition(f">sub-{label}</a></td>")[2].partition("</tr>")[0]
        assert f">{verdict}</td>" in row
        assert f'title="why {label}"' in row
        assert ("problem" in row) == (verdict == "outside")
    index = (out / "index.html").read_text()
    assert "reports flag a problem" in index
    for label, verdict in zip(PEOPLE, verdicts, strict=True):
        row = index.partition(f">sub-{label}</a></td>")[2].partition("</tr>")[0]
        assert ("Do not use" in row) == (verdict == "outside")


def test_maps_of_another_model_are_left_out(finished_job, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished_job.out, out)
    for path in (out / "sub-02").glob("*_statmap.json"):
        path.write_text(
            json.dumps(json.loads(path.read_text()) | {"ModelSHA256": "other"})
        )
    pooled = pooled_of(out)
    assert "sub-02_task-rest" not in pooled.averages
    assert pooled.left_out == (
        ("sub-02_task-rest", "its model differs from that of most"),
    )


def test_maps_that_were_being_replaced_are_left_out(
    finished_job, tmp_path, monkeypatch
):
    out = shutil.copytree(finished_job.out, tmp_path / "out")

    def is_ended(*args, **options):
        raise OutputError("ended before the record")

    with monkeypatch.context() as patch:
        patch.setattr("bids_dtg.participants.origin.write_completion", is_ended)
        words = ("--participant-label", "02", "--denoise-strategy", "none")
        assert finished_job.run(*words, out=out) == 1
    ((title, reason),) = pooled_of(out).left_out
    assert title == "sub-02_task-rest"
    assert "half replaced" in reason
    assert finished_job.run("--participant-label", "02", out=out) == 0
    assert not pooled_of(out).left_out


def without_values(path):
    image = nib.load(path)
    nib.save(
        nib.Nifti1Image(np.full(image.shape, np.nan, np.float32), image.affine), path
    )


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b""), without_values])
@pytest.mark.parametrize(
    "label", ["01", "03"]
)  # the first participant's maps give the mask
def test_a_damaged_map_leaves_its_set_out(finished_job, tmp_path, label, damage):
    out = tmp_path / "out"
    shutil.copytree(finished_job.out, out)
    broken = next(
        (out / f"sub-{label}/func").glob("*languageStory_*synthetic_statmap.nii.gz")
    )
    damage(broken)
    pooled = pooled_of(out)
    assert len(pooled.averages) == 5
    ((title, reason),) = pooled.left_out
    assert title == f"sub-{label}_task-rest"
    assert broken.name in reason


def test_who_has_no_data_at_a_voxel_does_not_count_there(finished_job, tmp_path):
    out = shutil.copytree(finished_job.out, tmp_path / "out")
    for label, voxel in (("01", 0), ("03", 5)):
        for path in (out / f"sub-{label}/func").glob("*synthetic_statmap.nii.gz"):
            image = nib.load(path)
            values = image.get_fdata(dtype=np.float32)
            values[tuple(np.argwhere(values)[voxel])] = np.nan
            nib.save(nib.Nifti1Image(values, image.affine, image.header), path)
    pooled = pooled_of(out)
    whole = pooled_of(finished_job.out)
    intact = DerivativeDataset(finished_job.out)
    assert (pooled.places.mask == whole.places.mask).all()
    paths = [
        find_participant(intact, label).averages[0].maps[0].path for label in PEOPLE
    ]
    maps = np.stack([nib.load(path).get_fdata()[whole.places.mask] for path in paths])
    maps[0, 0] = maps[2, 5] = np.nan
    np.testing.assert_allclose(pooled.mean[0], np.nanmean(maps, axis=0), atol=1e-6)
    np.testing.assert_allclose(pooled.sd[0], np.nanstd(maps, axis=0, ddof=1), atol=1e-6)


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    assert main([str(tmp_path), str(tmp_path / "out"), "group"]) == 2
    assert "holds no results" in capsys.readouterr().err


def test_a_dry_run_writes_nothing_and_prints_what_would_be_done(
    finished_job, tmp_path, capsys
):
    out = shutil.copytree(finished_job.out, tmp_path / "out")
    for path in (out / "group.html", out / "group/desc-runs_qc.tsv"):
        path.unlink()
    before = tree(out, but=())
    assert main([str(finished_job.bids), str(out), "group", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert (
        f"would write {out / 'group/desc-runs_qc.tsv'}: 6 runs of 6 participants"
        in printed
    )
    assert f"would write {out / 'group.html'}" in printed
    assert tree(out, but=()) == before


@pytest.mark.slow
def test_bids_dir_must_be_the_dataset_of_the_results_or_their_folder(
    finished_job, tmp_path, capsys
):
    out = shutil.copytree(finished_job.out, tmp_path / "out")
    other_dataset = describe_dataset(tmp_path / "other")
    add_rest(other_dataset, "99")
    file = tmp_path / "file"
    file.touch()
    for wrong, words in (
        (tmp_path / "nowhere", "does not exist"),
        (file, "is not a folder"),
        (tmp_path, "is not a BIDS dataset"),
        (other_dataset, "has none of the participants"),
    ):
        assert main([str(wrong), str(out), "group", "--dry-run"]) == 2, wrong
        assert words in (reported := capsys.readouterr().err), reported
        assert "give the dataset of these results" in reported
    for right in (finished_job.bids, out):
        assert main([str(right), str(out), "group", "--dry-run"]) == 0


@pytest.mark.slow
def test_only_those_asked_for_are_gathered(finished_job, tmp_path, capsys):
    out = shutil.copytree(finished_job.out, tmp_path / "out")
    words = [str(finished_job.bids), str(out), "group", "--participant-label"]
    assert main([*words, "sub-02"]) == 0
    assert ": 1 run of 1 participant\n" in capsys.readouterr().err
    rows = read_table(out / "group/desc-runs_qc.tsv")
    assert [row["participant_id"] for row in rows] == ["sub-02"]
    assert [*out.glob("group/*groupMean*")]
    assert not [*out.glob("group/*groupSd*")]  # that of all participants is gone
    # The failure of sub-07 is not theirs.
    page = (out / "group.html").read_text()
    assert "sub-07" not in page
    assert '<p class="soft">None.</p>' in page.partition("<h2>Failures</h2>")[2]
    assert main([*words, "02", "99"]) == 2
    assert (
        "has no participant 99. Expected: e.g. 01, 02, 03, 04, 05 (6"
        in capsys.readouterr().err
    )


# --- each person once, and cleanings apart


def add_sessions(bids, label: str) -> None:
    for number, session in enumerate(("a", "b")):
        add_rest(bids, label, seed=30 + number, session=session)


@pytest.fixture(scope="module")
def combined(tmp_path_factory) -> TinyJob:
    """Three people of one session and one of two, who has averages of both kinds of --combine."""
    job = TinyJob(tmp_path_factory.mktemp("combined"), ("01", "02", "03"))
    add_sessions(job.bids, "04")
    assert job.run() == 0
    assert job.run("--combine", "participant", "--participant-label", "04") == 0
    return job


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_a_second_way_to_combine_is_told_and_never_guessed(combined, capsys, words):
    """Three people have one kind and one has both: the more frequent kind is no choice."""
    options = ("--combine", "participant", "--participant-label", "04")
    assert combined.run(*options, *words) == 0
    line = (
        "OUTPUT_DIR also has maps of another --combine than participant, of 1 participant "
        "(sub-04_ses-a_task-rest, sub-04_ses-b_task-rest): they stay"
    )
    assert line in "".join(capsys.readouterr())
    group = [str(combined.bids), str(combined.out), "group"]
    assert main([*group, *words]) == 2
    log = capsys.readouterr().err
    assert (
        "2 kinds: --combine participant: 1 set (sub-04_task-rest); --combine session: 5"
        in log
    )
    assert "To do: choose with --combine participant or session" in log
    stats = [*group, "--analysis", "stats", "--voxels", "--dry-run"]
    assert main(stats) == 2
    assert "--combine participant or session" in capsys.readouterr().err
    assert main([*stats, "--combine", "participant"]) == 2
    log = capsys.readouterr().err
    assert "of --combine participant; not used: those of session" in log
    assert "usable results of one participant (04)" in log
    assert main([*stats, "--combine", "session"]) == 0
    assert (
        "of --combine session; not used: those of participant"
        in capsys.readouterr().err
    )
    assert main([*stats, "--combine", "run"]) == 2
    assert (
        "has no results of --combine run, but of --combine partic"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_a_person_counts_once_whatever_was_combined(combined, tmp_path, capsys):
    out = shutil.copytree(combined.out, tmp_path / "out")
    assert main([str(combined.bids), str(out), "group", "--combine", "session"]) == 0
    assert (
        "of --combine session; not used: those of participant"
        in capsys.readouterr().err
    )
    (path,) = out.glob("group/*_contrast-languageMath_*groupMean_statmap.nii.gz")
    # The two sessions of sub-04 are one person.
    maps = {
        one.name.partition("_space")[0]: nib.load(one).get_fdata()
        for one in out.glob(
            "sub-*/**/*_contrast-languageMath_*synthetic_statmap.nii.gz"
        )
    }
    assert len(maps) == 6
    people = [maps[f"sub-{label}_task-rest"] for label in ("01", "02", "03")]
    people.append((maps["sub-04_ses-a_task-rest"] + maps["sub-04_ses-b_task-rest"]) / 2)
    np.testing.assert_allclose(
        nib.load(path).get_fdata(), np.mean(people, axis=0), atol=1e-5
    )
    (spread,) = out.glob("group/*_contrast-languageMath_*groupSd_statmap.nii.gz")
    expected = np.std(people, axis=0, ddof=1)
    np.testing.assert_allclose(nib.load(spread).get_fdata(), expected, atol=1e-5)
    sidecar = json.loads(
        path.with_name(path.name.replace(".nii.gz", ".json")).read_text()
    )
    assert (sidecar["NParticipants"], sidecar["NSets"]) == (4, 5)


@pytest.mark.slow
def test_cleanings_are_not_mixed(tmp_path, capsys):
    job = TinyJob(tmp_path, PEOPLE)
    assert job.run("--participant-label", *PEOPLE[:4]) == 0
    assert (
        job.run("--participant-label", *PEOPLE[4:], "--denoise-strategy", "none") == 0
    )
    assert main([str(job.bids), str(job.out), "group"]) == 0
    lines = capsys.readouterr().err
    assert (
        "not in the mean maps: 2 sets (sub-05_task-rest, sub-06_task-rest), made with "
        "--denoise-strategy none, most with simple"
    ) in lines
    assert (
        "runs are compared only within their cleaning strategy (none, simple)" in lines
    )
    (path,) = job.out.glob("group/*_contrast-languageMath_*groupMean_statmap.nii.gz")
    expected = maps_of(job)[:4].mean(axis=0)
    np.testing.assert_allclose(nib.load(path).get_fdata(), expected, atol=1e-5)
    rows = read_table(job.out / "group/desc-runs_qc.tsv")
    assert [row["denoise_strategy"] for row in rows] == ["simple"] * 4 + ["none"] * 2
    text = (job.out / "logs/CITATION.md").read_text()
    assert "24 motion parameters" in text
    assert text.count("# Methods") + text.count("## ") > 1
