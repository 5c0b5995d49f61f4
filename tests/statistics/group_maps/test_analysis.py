"""Group maps as typed: equal to nilearn's on the same files, and predicted beside measured."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.glm.second_level import SecondLevelModel
from tiny_bundle import TINY_AFFINE, TINY_SHAPE
from tiny_cohort import TinyCohort
from tiny_job import add_rest, read_table, tree

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

LABELS = tuple(f"{n:02d}" for n in range(1, 13))
MATH, STORY = "languageMath", "languageStory"
PREDICTED_SD, MEASURED_SD = 0.4, 1.6
PLACES = VoxelPlaces.within(Grid(TINY_SHAPE, TINY_AFFINE), np.ones(TINY_SHAPE, bool))
# Each contrast has an effect in a part of the brain, one above and the other below 0.
TRUTH = {
    MATH: np.where(PLACES.points[:, 0] > np.median(PLACES.points[:, 0]), 2.5, 0.0),
    STORY: np.where(PLACES.points[:, 1] > np.median(PLACES.points[:, 1]), -2.5, 0.0),
}
AGES = {label: 20.0 + n + (n - 4) ** 2 for n, label in enumerate(LABELS)}


def write_maps(cohort: TinyCohort, own=lambda label, session: 0.0) -> None:
    """Replace all maps by a truth, what is a person's own, and noise: less in predicted ones."""
    rng = np.random.default_rng(8)
    for path in sorted(cohort.out.glob("sub-*/**/*_desc-synthetic_statmap.nii.gz")):
        label, contrast, session = (_entity(path, key) for key in ("sub", "contrast", "ses"))
        image = nib.load(path)
        # As far as the model reaches, the maps have values.
        values = TRUTH.get(contrast, TRUTH[MATH] - TRUTH[STORY]).reshape(TINY_SHAPE)
        noise = PREDICTED_SD * rng.standard_normal(TINY_SHAPE)
        shown = np.where(image.get_fdata() != 0, values + noise + own(label, session), 0)
        nib.Nifti1Image(shown.astype(np.float32), image.affine).to_filename(path)
    for path in sorted(cohort.statmaps.rglob("*.nii.gz")):
        label, contrast, session = (_entity(path, key) for key in ("sub", "contrast", "ses"))
        noise = MEASURED_SD * rng.standard_normal(PLACES.number)
        path.write_bytes(PLACES.encode(TRUTH[contrast] + noise + own(label, session)))


def _entity(path: Path, key: str) -> str:
    parts = dict(part.split("-", 1) for part in path.name.split("_") if "-" in part)
    return parts.get(key, "")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    cohort = TinyCohort(tmp_path_factory.mktemp("cohort"), LABELS, contrasts=(MATH, STORY))
    rows = [
        f"sub-{label}\t{AGES[label]}\t{'FM'[n % 2]}\tfam{n // 2}\t{'AB'[n // 6]}"
        for n, label in enumerate(LABELS)
    ]
    header = "participant_id\tage\tsex\tfamily_id\tsite"
    (cohort.folder / "related.tsv").write_text("\n".join([header, *rows, ""]))
    alone = ["\t".join(row.split("\t")[:3]) for row in (header, *rows)]
    (cohort.bids / "participants.tsv").write_text("\n".join([*alone, ""]))
    assert cohort.run() == 0
    write_maps(cohort)
    return cohort


@pytest.fixture(autouse=True)
def pictures(monkeypatch):
    """Draw nothing: each picture takes a second, and has tests of its own."""
    drawn = []

    def draw(values, places, *, title, outlined, units, limit):
        drawn.append((values, outlined, limit))
        return b"\x89PNG\r\n\x1a\n"

    monkeypatch.setattr("bids_dtg.statistics.group_maps.findings.draw_glass_brain", draw)
    return drawn


def folder(cohort: TinyCohort, name: str) -> Path:
    return cohort.out / "group" / f"stats-{name}"


def images(cohort: TinyCohort, contrast: str) -> list[nib.Nifti1Image]:
    found = sorted(cohort.out.glob(f"sub-*/func/*contrast-{contrast}_*desc-synthetic_*.nii.gz"))
    return [nib.load(path) for path in found]


def read_map(where: Path, contrast: str, stat: str, desc: str) -> np.ndarray:
    (path,) = where.glob(f"*contrast-{contrast}_stat-{stat}_desc-{desc}_statmap.nii.gz")
    return nib.load(path).get_fdata()


@pytest.mark.slow
def test_maps_are_those_that_nilearn_makes_of_the_same_files(cohort):
    words = [
        "--phenotype",
        "age",
        "--covariates",
        "sex",
        "--feature-sets",
        "maps",
        "--contrast",
        MATH,
    ]
    assert cohort.analyse("stats", *words, "--permutations", 99, "--name", "age") == 0
    several = images(cohort, MATH)
    mask = np.any([image.get_fdata() != 0 for image in several], axis=0)
    columns = pd.DataFrame({"age": list(AGES.values()), "sex": np.arange(12) % 2, "one": 1.0})
    model = SecondLevelModel(mask_img=nib.Nifti1Image(mask.astype(np.uint8), several[0].affine))
    model.fit(several, design_matrix=columns)
    where = folder(cohort, "age")
    for stat, kind in (("effect", "effect_size"), ("t", "stat"), ("z", "z_score")):
        theirs = model.compute_contrast("age", output_type=kind).get_fdata()
        np.testing.assert_allclose(read_map(where, MATH, stat, "maps"), theirs, atol=1e-4)
    (row,) = read_table(where / "desc-tests_contrasts.tsv")
    assert row["participants"] == "12"
    assert int(row["voxels"]) == mask.sum()
    shown = read_map(where, MATH, "z", "mapsFWE")
    assert (shown != 0).sum() == int(row["voxels_fwe"])
    logp = read_map(where, MATH, "logp", "mapsFWE")
    assert logp[mask].max() == pytest.approx(-np.log10(float(row["p_fwe"])), rel=1e-5)
    sidecar = json.loads(next(where.glob("*stat-z_desc-mapsFWE_statmap.json")).read_text())
    assert sidecar["Design"] == "regression"
    assert sidecar["Covariates"] == ["sex: M"]
    assert sidecar["Synthetic"] is True
    assert "the change of maps with age" in sidecar["Description"]


def test_a_linked_folder_is_refused_before_anything_is_written(cohort, capsys):
    target = cohort.folder / "elsewhere"
    target.mkdir()
    folder(cohort, "linked").parent.mkdir(exist_ok=True)
    folder(cohort, "linked").symlink_to(target)
    assert cohort.analyse("stats", "--name", "linked") == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "is a link" in line)
    assert f"{folder(cohort, 'linked')} is a link to {target}" in line
    assert list(target.iterdir()) == []


def test_predicted_group_maps_beside_measured_ones_with_their_baselines(cohort, pictures, capsys):
    assert cohort.analyse("stats", "--permutations", 199, "--name", "both") == 0
    where = folder(cohort, "both")
    rows = {row["contrast"]: row for row in read_table(where / "desc-measured_comparison.tsv")}
    assert set(rows) == {MATH, STORY}
    for contrast, row in rows.items():
        mask = read_map(where, contrast, "t", "maps") != 0
        predicted = np.mean([image.get_fdata()[mask] for image in images(cohort, contrast)], axis=0)
        measured = read_map(where, contrast, "effect", "measured")[mask]
        r = np.corrcoef(predicted, measured)[0, 1]
        assert float(row["r"]) == pytest.approx(r, abs=1e-4)
        truth = TRUTH[contrast].reshape(TINY_SHAPE)[mask]
        assert np.corrcoef(predicted, truth)[0, 1] > 0.98
        assert r > 0.85
        # A map of 12 people agrees with another group's less than with one without noise.
        assert float(row["r_half"]) < float(row["r_other_group"]) < r
        assert abs(float(row["r_other_contrast"])) < 0.2
        assert float(row["dice"]) > float(row["dice_other_contrast"]) + 0.2
        assert float(row["sd_ratio"]) == pytest.approx(PREDICTED_SD / MEASURED_SD, rel=0.05)
        assert float(row["t_ratio"]) > 2
    tests = read_table(where / "desc-tests_contrasts.tsv")
    assert [(row["features"], row["contrast"]) for row in tests] == [
        *(("maps", contrast) for contrast in (MATH, STORY, "languageMathVsStory")),
        *(("measured", contrast) for contrast in (MATH, STORY)),
    ]
    page = (where / "statistics_report.html").read_text()
    assert "no evidence of activation in these people" in page
    assert "another measured group" in page
    assert len(pictures) == 5
    # All of the map is shown, and what is significant is outlined.
    whole, found = (read_map(where, MATH, "z", desc) for desc in ("maps", "mapsFWE"))
    shown, outlined, limit = pictures[0]
    np.testing.assert_allclose(shown, whole[whole != 0], rtol=1e-5)
    np.testing.assert_array_equal(outlined, found[whole != 0] != 0)
    assert limit >= np.abs(shown).max()
    assert "significant voxels, outlined" in page
    peaks = read_table(where / "desc-clusters_peaks.tsv")
    assert {row["contrast"] for row in peaks if row["features"] == "maps"} == {
        *(MATH, STORY, "languageMathVsStory")
    }
    said = capsys.readouterr().err
    assert "Tested: the mean of the maps against 0." in said
    assert "other contrasts' predicted maps do with" in said
    assert "participants count as unrelated" in said


def test_families_flip_together_and_sites_do_not_matter_to_a_mean(cohort):
    words = ["--feature-sets", "maps", "--contrast", MATH, "--permutations", 199]
    words += ["-p", cohort.folder / "related.tsv", "--name", "families"]
    assert cohort.analyse("stats", *words) == 0
    page = (folder(cohort, "families") / "statistics_report.html").read_text()
    assert "Signs were flipped, those of each of 6 families together." in page
    assert "for which sites do not matter" in page
    assert "(--derivatives statmaps=PATH compares them)" in page
    # Of 64 flips two leave the map as it is, but for its sign.
    (row,) = read_table(folder(cohort, "families") / "desc-tests_contrasts.tsv")
    assert float(row["p_fwe"]) > 1 / 64


def test_groups_that_are_the_sites_have_no_permuted_p(cohort, capsys):
    words = ["--phenotype", "site", "-p", cohort.folder / "related.tsv"]
    words += ["--contrast", MATH, "--permutations", 9]
    assert cohort.analyse("stats", *words, "--name", "site") == 0
    trouble = "Every permutation leaves site as it is, as sites or families have one value"
    said = capsys.readouterr().err
    assert f"warning: {trouble}" in said
    page = (folder(cohort, "site") / "statistics_report.html").read_text()
    assert trouble in page
    assert "site is no covariate of site: it is the same for all people of a site" in page
    # Of one contrast there is no other to compare with.
    assert "correlate with r" in said
    assert "other contrasts" not in said
    assert "n/a" not in said


def test_groups_are_permuted_by_family_and_within_sites(cohort, pictures, capsys):
    words = [
        "--phenotype",
        "sex",
        "-p",
        cohort.folder / "related.tsv",
        "--feature-sets",
        "measured",
    ]
    words += ["--tfce", "--within-families", "--contrast", MATH, "--permutations", 99]
    assert cohort.analyse("stats", *words, "--name", "sex") == 0
    assert "no threshold-free cluster enhancement: people are related" in capsys.readouterr().err
    page = (folder(cohort, "sex") / "statistics_report.html").read_text()
    assert "given site: B" in page
    sidecar = next(folder(cohort, "sex").glob("*_stat-effect_*statmap.json"))
    assert json.loads(sidecar.read_text())["Covariates"] == ["site: B"]
    assert "participants with sex M against those with sex F" in page
    assert "permuted within families and sites" in page
    assert "nobody was swapped with somebody of another site" in page
    assert "enhancement was not made" in page
    assert "no evidence of activation" not in page  # of measured maps
    assert "no voxel of any contrast is significant" in page
    assert f"{MATH}: no significant voxel" in page
    ((shown, outlined, limit),) = pictures
    assert (shown != 0).all()
    assert not outlined.any()
    assert limit == 5.0  # noise is pale


def test_cluster_enhancement_is_written_where_nobody_is_related(cohort):
    words = ["--feature-sets", "measured", "--tfce", "--contrast", MATH, "--permutations", 19]
    assert cohort.analyse("stats", *words, "--name", "tfce") == 0
    (row,) = read_table(folder(cohort, "tfce") / "desc-tests_contrasts.tsv")
    found = read_map(folder(cohort, "tfce"), MATH, "logp", "measuredTFCE")
    assert int(row["voxels_tfce"]) == (found >= -np.log10(0.05) - 1e-6).sum() > 0
    assert np.abs(read_map(folder(cohort, "tfce"), MATH, "tfce", "measured")).max() > 0


def test_without_permutations_nothing_is_significant(cohort):
    words = ["--feature-sets", "maps", "--contrast", MATH, "--permutations", 0]
    assert cohort.analyse("stats", *words, "--name", "none") == 0
    (row,) = read_table(folder(cohort, "none") / "desc-tests_contrasts.tsv")
    assert (row["p_fwe"], row["voxels_fdr"], row["clusters"]) == ("n/a", "n/a", "n/a")
    assert not [
        path for path in folder(cohort, "none").iterdir() if re.search("F(WE|DR)", path.name)
    ]
    page = (folder(cohort, "none") / "statistics_report.html").read_text()
    assert "no permutation was asked for, so no voxel is called significant" in page
    assert f"{MATH}: not corrected, so nothing is outlined" in page


def test_of_few_people_there_is_no_verdict(cohort):
    words = ["--participant-label", *LABELS[:7], "--feature-sets", "maps", "--contrast", MATH]
    assert cohort.analyse("stats", *words, "--name", "few") == 0
    where = folder(cohort, "few")
    assert "(8 are needed)" in (where / "statistics_report.html").read_text()
    assert not list(where.glob("*FWE*")) + list(where.glob("*FDR*"))
    assert read_table(where / "desc-clusters_peaks.tsv") == []
    sidecars = [json.loads(path.read_text()) for path in where.glob("*_statmap.json")]
    assert {facts["Permutations"] for facts in sidecars} == {0}


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """People with two sessions, the second with more of the first contrast."""
    cohort = TinyCohort(tmp_path_factory.mktemp("sessions"), LABELS[:9], contrasts=(MATH, STORY))
    for number, label in enumerate(cohort.labels):
        shutil.rmtree(cohort.bids / f"sub-{label}")
        for session in ("a", "b"):
            if (label, session) != ("09", "b"):
                add_rest(cohort.bids, label, session=session, seed=number)
    assert cohort.run("--combine", "session") == 0
    write_maps(cohort, lambda label, session: 5.0 * int(label) + (1.0 if session == "b" else 0.0))
    return cohort


def test_paired_sessions_of_the_same_people(sessions, capsys):
    words = ["--design", "paired", "--session-label", "a", "b", "--contrast", MATH]
    assert sessions.analyse("stats", *words, "--permutations", 99, "--name", "paired") == 0
    assert "left out: 1 participant without maps of all kinds and both sessions (sub-09)" in (
        capsys.readouterr().err
    )
    where = folder(sessions, "paired")
    for row in read_table(where / "desc-tests_contrasts.tsv"):
        assert row["participants"] == "8"
        effect = read_map(where, MATH, "effect", row["features"])
        # What is the person's own is as large as 40, and is in neither the mean nor the noise.
        assert effect[effect != 0].mean() == pytest.approx(1.0, abs=0.1)
        assert float(row["between_people_sd"]) < 3
    assert (
        "maps of session b against those of session a"
        in (where / "statistics_report.html").read_text()
    )


@pytest.mark.slow
def test_a_map_that_cannot_be_read_leaves_its_owner_out(cohort, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(cohort.out, out)
    (broken,) = out.glob(f"sub-03/func/*contrast-{STORY}_*desc-synthetic_*.nii.gz")
    broken.write_bytes(b"nothing")
    words = ["--feature-sets", "maps", "--contrast", MATH, STORY, "--permutations", 9]
    assert cohort.analyse("stats", *words, out=out) == 1
    rows = read_table(out / "group/stats/desc-tests_contrasts.tsv")
    assert [row["participants"] for row in rows] == ["12", "11"]
    assert f"sub-03 is left out of {STORY}" in capsys.readouterr().err


@pytest.mark.parametrize("people", [LABELS[:6], LABELS])
def test_groups_of_which_only_one_has_measured_maps_are_not_tested(
    cohort, people, tmp_path, capsys
):
    (measured := tmp_path / "statmaps").mkdir()
    for label in people[1::2]:  # of sex M
        (measured / f"sub-{label}").symlink_to(cohort.statmaps / f"sub-{label}")
    words = ["--phenotype", "sex", "--contrast", MATH, "--participant-label", *people]
    words += ["--permutations", 9, "--name", "one-sex"]
    before, cohort.statmaps = cohort.statmaps, measured
    try:
        assert cohort.analyse("stats", *words) == 2
    finally:
        cohort.statmaps = before
    said = capsys.readouterr().err
    assert f"what is tested is the same for all {len(people) // 2} who have maps of it" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--phenotype", "age", "sex"], "one column for stats"),
        (["--design", "one-sample", "--phenotype", "age"], "give it as --covariates"),
        (["--design", "two-sample"], "--design two-sample needs --phenotype NAME"),
        (["--design", "two-sample", "--phenotype", "age"], "age has 8 levels"),
        (["--design", "regression", "--phenotype", "sex"], "sex has the values F, M"),
        (["--design", "paired"], "--design paired with 0 sessions"),
        (
            ["--design", "paired", "--session-label", "a", "b"],
            "no participant has maps of session a",
        ),
        (["--feature-sets", "regions"], "--feature-sets regions is not looked at by stats"),
        (["--participant-label", "01"], "maps of only 1 participant"),
    ],
)
def test_what_cannot_be_tested_is_refused_before_anything_is_written(cohort, words, why, capsys):
    assert cohort.analyse("stats", *words, "--name", "refused") == 2
    assert why in capsys.readouterr().err
    assert not folder(cohort, "refused").exists()


def test_a_dry_run_reports_the_test_and_writes_nothing(cohort, capsys):
    assert cohort.analyse("stats", "--dry-run", "--name", "dry") == 0
    assert "would test the mean of the maps against 0, of 12 participants" in (
        capsys.readouterr().out
    )
    assert not folder(cohort, "dry").exists()


_KILLED = """
import os, signal, sys
from bids_dtg.cli.run import main
from bids_dtg.files.derivatives import DerivativeDataset

write = DerivativeDataset.write

def killed(self, relative, data):
    if "contrast-languageStory" in str(relative):
        os.kill(os.getpid(), signal.SIGKILL)
    return write(self, relative, data)

DerivativeDataset.write = killed
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_call_that_is_killed_between_two_contrasts_is_made_whole(cohort, tmp_path, monkeypatch):
    killed, whole = (tmp_path / name / "out" for name in ("killed", "whole"))
    base = ["--feature-sets", "maps", "--permutations", 9]
    for out in (killed, whole):
        shutil.copytree(cohort.out, out)
    # One-sample results are there, with one more table than the next call makes.
    assert cohort.analyse("stats", "--feature-sets", "maps", "measured", *base[2:], out=killed) == 0
    folder = killed / "group/stats"
    assert (folder / "desc-measured_comparison.tsv").is_file()
    (folder / "notes.txt").write_text("own")
    words = ["--design", "two-sample", "--phenotype", "sex", *base]
    monkeypatch.setattr(cohort, "level", "group")
    cut = cohort.arguments("--analysis", "stats", *words, out=killed)
    done = subprocess.run([sys.executable, "-c", _KILLED, *cut], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert (
        "unfinished: a call is at work there, or was cut off" in (killed / "index.html").read_text()
    )
    assert not (folder / "statistics_report.html").exists()
    assert not (folder / "configuration.toml").exists()
    for out in (killed, whole):
        assert cohort.analyse("stats", *words, out=out) == 0
    assert (folder / "notes.txt").read_text() == "own"
    (folder / "notes.txt").unlink()
    for stats in (folder, whole / "group/stats"):
        page = stats / "statistics_report.html"
        page.write_text(re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", page.read_text()))
    assert tree(folder) == tree(whole / "group/stats")
    assert "unfinished" not in (killed / "index.html").read_text()


def changed(cohort, tmp_path, name, change):
    """Copy the output, and change the maps of a person whose file names have `name`."""
    out = tmp_path / "out"
    shutil.copytree(cohort.out, out)
    for path in sorted(out.glob(f"{name}_desc-synthetic_statmap.nii.gz")):
        image = nib.load(path)
        values, affine = change(image.get_fdata(dtype=np.float32), image.affine.copy())
        nib.Nifti1Image(values.astype(np.float32), affine).to_filename(path)
    return out


def test_nothing_is_corrected_where_one_groups_maps_are_noisier(cohort, tmp_path, capsys):
    out, rng = tmp_path / "out", np.random.default_rng(0)
    shutil.copytree(cohort.out, out)
    for label in LABELS[::2]:  # all of one sex
        for path in sorted(
            out.glob(f"sub-{label}/func/*contrast-{MATH}_*synthetic_statmap.nii.gz")
        ):
            image = nib.load(path)
            values = image.get_fdata(dtype=np.float32)
            values += (values != 0) * rng.standard_normal(values.shape) * values.std() * 2
            nib.Nifti1Image(values, image.affine).to_filename(path)
    words = ["--phenotype", "sex", "--contrast", MATH, STORY, "--permutations", 199]
    assert cohort.analyse("stats", *words, "--feature-sets", "maps", out=out) == 0
    why = "the size of participants' maps goes with sex (permuted p 0.0"
    assert f"warning: {MATH}: {why}" in capsys.readouterr().err
    math, story = read_table(out / "group/stats/desc-tests_contrasts.tsv")
    assert {math[name] for name in ("p_fwe", "voxels_fwe", "voxels_fdr", "clusters")} == {"n/a"}
    assert "n/a" not in {story[name] for name in ("p_fwe", "voxels_fwe", "voxels_fdr")}
    assert not list((out / "group/stats").glob(f"*{MATH}*FWE*"))
    page = (out / "group/stats/statistics_report.html").read_text()
    assert f"Of {MATH} nothing is corrected: the size of participants" in page
    assert "; nothing is corrected of 1 of them." in page
    assert "There is no false discovery rate" not in page


def shifted(values, affine):
    affine[0, 3] += 4
    return values, affine


STATS = ("--feature-sets", "maps", "--permutations", 19)


@pytest.mark.parametrize(
    ("change", "why", "people"),
    [
        (shifted, "has another affine than the first map", "11"),
        (lambda values, affine: (0 * values, affine), "the map cannot be used: 100%", "11"),
        (
            lambda values, affine: (1e30 * values, affine),
            "no statistic or effect is so large",
            "11",
        ),
        (
            lambda values, affine: (9 * values, affine),
            "the scale of the map of sub-03 is",
            "12",
        ),
    ],
)
def test_a_person_whose_maps_cannot_be_right_is_named(
    cohort, tmp_path, capsys, change, why, people
):
    out = changed(cohort, tmp_path, f"sub-03/**/*contrast-{MATH}_*", change)
    code = cohort.analyse("stats", *STATS, "--contrast", MATH, out=out)
    assert code == (0 if people == "12" else 1)
    assert why in capsys.readouterr().err
    where = out / "group" / "stats"
    (row,) = read_table(where / "desc-tests_contrasts.tsv")
    assert row["participants"] == people
    if people == "12":
        assert "cale of the map of sub-03 is" in (where / "statistics_report.html").read_text()


def test_people_with_one_and_the_same_map_are_named(cohort, tmp_path, capsys):
    (first,) = cohort.out.glob(f"sub-01/**/*contrast-{MATH}_*desc-synthetic_statmap.nii.gz")
    same = nib.load(first).get_fdata()
    out = changed(cohort, tmp_path, f"sub-0[56]/**/*contrast-{MATH}_*", lambda _, a: (same, a))
    assert cohort.analyse("stats", *STATS, "--contrast", MATH, out=out) == 0
    words = "sub-01, sub-05, sub-06 have one and the same map"
    assert words in capsys.readouterr().err
    page = (out / "group" / "stats" / "statistics_report.html").read_text()
    assert "ub-01, sub-05, sub-06 have one and the same map" in page


def test_a_contrast_that_nobody_has_is_left_out_by_name(cohort, tmp_path, capsys):
    out = changed(cohort, tmp_path, f"sub-*/**/*contrast-{STORY}_*", lambda v, a: (v * np.nan, a))
    assert cohort.analyse("stats", *STATS, out=out) in (0, 1)
    assert f"{STORY}: the contrast is left out" in capsys.readouterr().err
    where = out / "group" / "stats"
    rows = [row["contrast"] for row in read_table(where / "desc-tests_contrasts.tsv")]
    assert rows == [MATH, "languageMathVsStory"]
    assert "he contrast is left out" in (where / "statistics_report.html").read_text()


@pytest.mark.parametrize(
    ("cell", "why"),
    [("unknown", "age has 'unknown' of sub-12"), ("1_0", "age has '1_0' of sub-12")],
)
def test_a_cell_that_is_no_number_is_refused(cohort, tmp_path, capsys, cell, why):
    table = tmp_path / "people.tsv"
    ages = {**AGES, "12": cell}
    table.write_text("participant_id\tage\n" + "".join(f"{k}\t{v}\n" for k, v in ages.items()))
    code = cohort.analyse("stats", *STATS, "--covariates", "age", "-p", table)
    assert code == 2
    assert why in capsys.readouterr().err


def test_labels_without_their_zeros_are_refused(cohort, tmp_path, capsys):
    table = tmp_path / "people.tsv"
    table.write_text("participant_id\tage\n" + "".join(f"{int(k)}\t{v}\n" for k, v in AGES.items()))
    assert cohort.analyse("stats", *STATS, "--covariates", "age", "-p", table) == 2
    assert "has participant 1, and the data have sub-01" in capsys.readouterr().err
