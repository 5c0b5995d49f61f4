"""The cohort's deviations: each person against the others, from the maps that are there."""

from __future__ import annotations

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from tiny_cohort import TinyCohort
from tiny_job import read_table

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.stats.conformal import block_edge
from bids_dtg.stats.deviation import PeopleSums

LABELS = tuple(f"{n:02d}" for n in range(1, 13))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    cohort = TinyCohort(tmp_path_factory.mktemp("cohort"), LABELS)
    assert cohort.run() == 0
    assert cohort.analyse("deviation") == 0
    return cohort


def files(cohort, label: str, desc: str, below: str = "") -> dict:
    paths = (cohort.out / below).glob(f"sub-{label}/**/*_desc-{desc}_statmap.nii.gz")
    return {path.name.split("contrast-")[1].split("_")[0]: path for path in paths}


def maps(bundle, paths: dict) -> np.ndarray:
    rows = [nib.load(paths[one.label]).get_fdata()[bundle.places.mask] for one in bundle.contrasts]
    return np.array(rows, np.float32)


def test_each_is_compared_with_the_others(cohort):
    bundle = load_bundle(cohort.model)
    everybody = {label: maps(bundle, files(cohort, label, "synthetic")) for label in LABELS}
    lattice = bundle.places.lattice(block_edge(bundle.places.spacing_mm))
    table = {
        row["average"]: row
        for row in read_table(cohort.out / "group/deviation/desc-deviation_distances.tsv")
    }
    assert len(table) == len(LABELS)
    for label in LABELS[:3]:
        others = [own for other, own in everybody.items() if other != label]
        wanted = PeopleSums.of(others, lattice).deviation(segments=1, of="cohort")
        expected = wanted.deviations(everybody[label])
        found = files(cohort, label, "deviation", "group/deviation")
        np.testing.assert_allclose(maps(bundle, found), expected, atol=1e-3)
        (row,) = [row for title, row in table.items() if title.startswith(f"sub-{label}_")]
        for contrast, own in zip(bundle.contrasts, expected, strict=True):
            assert float(row[contrast.label]) == pytest.approx(np.sqrt(np.mean(own**2)), abs=1e-3)


def test_sidecars_say_the_reference_group(cohort):
    path = next(iter(files(cohort, "01", "deviation", "group/deviation").values()))
    reported = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert (reported["DeviationsFrom"], reported["DeviationsFromParticipants"]) == ("cohort", 11)
    assert "from the mean of those of 11 other participants" in reported["Description"]
    (source,) = reported["Sources"]
    assert (cohort.out / source.removeprefix("bids::")).is_file()
    assert reported["Units"] == "spreads (standard deviations) between people"


def test_few_people_are_refused(cohort, capsys):
    assert cohort.analyse("deviation", "--participant-label", *LABELS[:10]) == 2
    reported = capsys.readouterr().err
    assert "only 10 participants with maps of one model: too few for" in reported
    assert "11 or more" in reported


def test_who_is_gone_is_removed_and_what_cannot_be_read_is_left_out(cohort, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(cohort.out, out)
    assert cohort.analyse("deviation", "--dry-run", out=out) == 0
    assert "would write deviations of 12 participants" in capsys.readouterr().out
    broken = next(path for path in (out / "sub-12").rglob("*_desc-synthetic_statmap.nii.gz"))
    broken.write_bytes(b"no image")
    assert cohort.analyse("deviation", out=out) == 1
    assert "sub-12 is left out" in capsys.readouterr().err
    assert not list((out / "group/deviation").glob("sub-12/**/*.nii.gz"))
    assert len(read_table(out / "group/deviation/desc-deviation_distances.tsv")) == 11
