"""Norms of regions as typed: what is refused, what is written, and what it says."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
from tiny_bundle import TINY_AFFINE, TINY_SHAPE
from tiny_cohort import TinyCohort
from tiny_job import read_table

PEOPLE = 60
LABELS = tuple(f"{n:02d}" for n in range(1, PEOPLE + 1))
AGE = np.random.default_rng(0).uniform(20, 80, PEOPLE)
SITE = np.arange(PEOPLE) % 2
# Of high age and the site with higher values, and with the mean of all: far from the norm alone.
UNUSUAL = int(np.abs(AGE - 72 + 100 * (SITE == 0)).argmin())
SHIFT = 2.0  # of a site
needs_toolkit = pytest.mark.skipif(
    importlib.util.find_spec("pcntoolkit") is None,
    reason="PCNtoolkit is not installed (370 MB more than the development extra: pip install "
    "'.[normative]')",
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Make one participant's results, and 59 more of them with values of their own."""
    cohort = TinyCohort(tmp_path_factory.mktemp("cohort"), LABELS[:1])
    atlas = cohort.folder / "tpl-MNI152NLin6Asym_atlas-Halves_dseg.nii.gz"
    values = np.zeros(TINY_SHAPE, np.int16)
    values[: TINY_SHAPE[0] // 2], values[TINY_SHAPE[0] // 2 :] = 1, 2
    nib.save(nib.Nifti1Image(values, TINY_AFFINE), atlas)
    assert cohort.run("--atlases", str(atlas)) == 0
    own = cohort.out / "sub-01"
    for label in LABELS[1:]:
        copied = cohort.out / f"sub-{label}"
        shutil.copytree(own, copied)
        for path in [*copied.rglob("*")]:
            if path.is_file():
                if path.suffix in (".json", ".tsv"):
                    path.write_text(path.read_text().replace("sub-01", f"sub-{label}"))
                path.rename(path.with_name(path.name.replace("sub-01", f"sub-{label}")))
    rng = np.random.default_rng(1)
    for n, label in enumerate(LABELS):
        for path in (cohort.out / f"sub-{label}").rglob("*atlas-*.tsv"):
            header, *rows = [line.split("\t") for line in path.read_text().splitlines()]
            for row in rows:
                value = (AGE[n] - 50) / 10 + SHIFT * SITE[n] + 0.5 * rng.standard_normal()
                if n == UNUSUAL:
                    value = SHIFT / 2
                row[header.index("mean")] = f"{value:.4f}"
            path.write_text("\n".join("\t".join(row) for row in [header, *rows]) + "\n")
    lines = [
        f"sub-{label}\t{AGE[n]:.1f}\t{'FM'[n % 3 == 0]}\t{SITE[n] + 1}\tf{n // 2}"
        for n, label in enumerate(LABELS)
    ]
    write_table(cohort, "\n".join(["participant_id\tage\tsex\tsite\tfamily_id", *lines]))
    return cohort


def write_table(cohort, text):
    (cohort.bids / "participants.tsv").write_text(text + "\n")


def run(cohort, *more):
    return cohort.analyse("normative", *more)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--covariates", "agee"), "no column agee.*did you mean age"),
        (("--covariates", "sex", "site"), "sex, site has no numbers that differ"),
        (("--feature-sets", "maps"), "--feature-sets maps: norms take seconds for each column"),
        (("--participant-label", *LABELS[:49]), "only 49 participants with complete data"),
    ],
)
def test_what_makes_no_norm_is_refused_in_a_line(cohort, capsys, more, message):
    assert run(cohort, *more) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(f"error: .*{message}", error)
    assert not (cohort.out / "group/normative").exists()


def test_a_table_without_age_is_refused(cohort, tmp_path, capsys):
    table = tmp_path / "own.tsv"
    table.write_text("participant_id\tsex\n" + "".join(f"{label}\tF\n" for label in LABELS))
    assert run(cohort, "-p", table) == 2
    assert "has no column age, which norms are given for" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("pcntoolkit") is not None, reason="it is installed")
def test_without_pcntoolkit_a_line_says_how_to_get_it(cohort, capsys):
    assert run(cohort) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "--analysis normative needs PCNtoolkit: the Python package" in error
    assert "pip install '.[normative]'" in error
    assert not (cohort.out / "group/normative").exists()


def test_a_dry_run_says_who_would_be_scored_and_how(cohort, capsys):
    assert run(cohort, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "60 participants in 5 folds of whole families" in shown
    assert "smooth over age, with an offset and a spread for each level of sex, site" in shown
    assert "60 participants scored by the spread of everybody: with fewer than 120 people" in shown
    assert "no output was written" in shown


@needs_toolkit
@pytest.mark.slow
def test_scores_tables_and_page_find_who_is_far_from_the_norm(cohort, capsys):
    assert run(cohort) == 0
    folder = cohort.out / "group/normative"
    assert "about 0 s left" in capsys.readouterr().err
    contrasts = [contrast.label for contrast in cohort.bundle.contrasts]
    for contrast in contrasts:
        rows = read_table(folder / f"contrast-{contrast}_desc-regions_scores.tsv")
        assert len(rows) == PEOPLE * 2
        z = np.array([float(row["z"]) for row in rows]).reshape(PEOPLE, 2)
        plain = np.array([float(row["plain_z"]) for row in rows]).reshape(PEOPLE, 2)
        value, expected, sd = (
            np.array([float(row[name]) for row in rows]) for name in ("value", "expected", "sd")
        )
        np.testing.assert_allclose(z.ravel(), (value - expected) / sd, atol=1e-4)
        assert np.abs(z).mean(axis=1).argmax() == UNUSUAL
        assert np.abs(plain[UNUSUAL]).max() < 2
        others = np.delete(z, UNUSUAL, axis=0)
        assert others.std() == pytest.approx(1, abs=0.3)
    people = read_table(folder / "desc-participants_norms.tsv")
    assert len(people) == PEOPLE * (len(contrasts) + 1)
    own = [row for row in people if row["participant_id"] == f"sub-{LABELS[UNUSUAL]}"]
    *each, together = own
    assert {row["extreme"] for row in each} == {"2"}
    assert together["contrast"] == "all"
    assert together["extreme"] == "6"
    assert float(together["q"]) < 0.05
    folds = {row["participant_id"]: row["fold"] for row in people}
    assert all(folds[f"sub-{LABELS[n]}"] == folds[f"sub-{LABELS[n + 1]}"] for n in range(0, 60, 2))
    regions = read_table(folder / "desc-regions_norms.tsv")
    assert all(float(row["r2"]) > 0.7 for row in regions)
    words = json.loads((folder / "desc-regions_norms.json").read_text())
    assert words["r2"]["Description"].startswith("Share of the variance of held-out people")
    page = (folder / "statistics_report.html").read_text()
    assert "1 of 60 participants has more regions far from the norm" in page
    assert "age, sex, site explain" in page
    assert "plain z-score" in page
