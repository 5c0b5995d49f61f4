"""Measured maps as an analysis reads them: files, contrasts, and what is wrong with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from maps_cohort import CONTRASTS, TinyCohort
from maps_job import add_rest, read_table
from scipy.ndimage import gaussian_filter
from split_options import sets, split

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

PEOPLE = tuple(f"{n:02d}" for n in range(1, 13))
# A grid of its own around the tiny model's, with x = 0 in the middle.
SHAPE, AFFINE = (
    (21, 24, 21),
    np.array([[2.0, 0, 0, -20], [0, 2, 0, -40], [0, 0, 2, -18], [0] * 4]),
)
AFFINE[3, 3] = 1


def smooth(rng) -> np.ndarray:
    values = gaussian_filter(rng.normal(size=SHAPE), 1.5)
    return (values / values.std()).astype(np.float32)


def octant(values: np.ndarray) -> np.ndarray:
    x, y, z = np.indices(SHAPE)
    return np.where((x > 10) & (y > 11) & (z > 10), values, 0)


DAMAGES = {
    "01": lambda values: values[::-1],  # mirrored
    "03": octant,
    "04": lambda values: 1000 * values,
    "05": lambda values: (values > 0.5).astype(np.float32),
}
# 07 and 08 have such values at one place of one map, 09 and 10 everywhere.
ABSURD = {
    "07": lambda values: at_one_place(values, 1e38),
    "08": lambda values: at_one_place(values, -np.inf),
    "09": lambda values: values * np.float32(1e20),
    "10": lambda values: np.where(values > 0, np.inf, np.nan),
}


def at_one_place(values: np.ndarray, value: float) -> np.ndarray:
    changed = values.copy()
    changed[10, 12, 10] = value
    return changed


def write(root: Path, name: str, values: np.ndarray) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(values.astype(np.float32), AFFINE).to_filename(path)


def name_of(person: str, contrast: str, entities: str = "", stat: str = "z") -> str:
    space = "space-MNI152NLin6Asym_"
    name = (
        f"sub-{person}_{entities}{space}contrast-{contrast}_stat-{stat}_statmap.nii.gz"
    )
    return f"sub-{person}/{name}"


class SmoothCohort(TinyCohort):
    """A tiny cohort whose maps are smooth, of one session, as people have them."""

    def __init__(self, folder: Path, people=PEOPLE, damages=()) -> None:
        super().__init__(folder, people)
        self.statmaps = folder / "smooth"
        rng = np.random.default_rng(11)
        self.maps = {}
        for contrast in CONTRASTS:
            mean = 1.5 * smooth(rng)
            for person in people:
                values = mean + smooth(rng)
                if person in damages:
                    values = DAMAGES[person](values)
                self.maps[person, contrast] = values
                write(self.statmaps, name_of(person, contrast), values)


def train(cohort: TinyCohort, *options: object, out: Path | None = None) -> int:
    tested = ("06", "07", "11")
    rest = [label for label in PEOPLE if label not in tested]
    words = ("--architecture", "linear", *split(rest, tested))
    return cohort.analyse("train", *words, *options, out=out)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    cohort = SmoothCohort(tmp_path_factory.mktemp("damaged"), damages=DAMAGES)
    add_rest(cohort.bids, "20", seed=20)
    write(cohort.statmaps, name_of("30", CONTRASTS[0]), cohort.maps["06", CONTRASTS[0]])
    ones = np.ones(SHAPE)
    write(
        cohort.statmaps,
        name_of("06", "x").replace("_statmap", "_desc-synthetic_statmap"),
        ones,
    )
    return cohort


@pytest.fixture(scope="module")
def lines(damaged):
    """Train on damaged maps; return the lines of the log."""
    import contextlib
    import io

    with contextlib.redirect_stderr(io.StringIO()) as error:
        assert train(damaged) == 1
    return error.getvalue()


def test_each_damage_has_a_line(lines):
    """Findings of the first user's review: all five were trained on, `0 left out`."""
    assert "measured maps: sub-01, mirrored in 2 of 2 targets (" in lines
    assert "sub-03 is left out: none of 2 measured maps can be used" in lines
    assert "less than 50%" in lines
    assert "measured maps: sub-04, scale in 2 of 2 targets (" in lines
    assert "sub-05 is left out: none of 2 measured maps can be used" in lines
    assert "it looks like a mask, labels, or a thresholded map" in lines
    damage_lines = [
        line for line in lines.splitlines() if line.startswith("measured maps: ")
    ]
    assert {line[15:21] for line in damage_lines} == {"sub-01", "sub-04"}


@pytest.mark.slow
def test_values_that_no_map_has_are_refused_by_person_and_file(tmp_path, capsys):
    """A map of 1e38 ended a training at scoring, and nobody was named."""
    cohort = SmoothCohort(tmp_path)
    for person, damage in ABSURD.items():
        for contrast in CONTRASTS[: 1 if person in ("07", "08") else None]:
            write(
                cohort.statmaps,
                name_of(person, contrast),
                damage(cohort.maps[person, contrast]),
            )
    assert train(cohort) == 1
    err = capsys.readouterr().err
    for person in ("07", "08"):
        name = Path(name_of(person, CONTRASTS[0])).name
        line = f"sub-{person}, unusable in 1 of 2 targets ({CONTRASTS[0]}): left out, "
        assert (
            f"measured maps: {line}because of {name}: its values reach 1e+38, too large"
            in err
        )
    for person in ("09", "10"):
        assert (
            f"sub-{person} is left out: none of 2 measured maps can be used, because of "
            in err
        )
        assert Path(name_of(person, CONTRASTS[0])).name in err
    assert "own 1 (linear)" in err


def test_who_lacks_maps_or_rest_is_named_always(lines):
    assert "left out: 1 participant with no measured maps (20)" in lines
    assert "left out: 1 participant with no rest (30)" in lines
    assert "10 participants with rest and maps, 2 contrasts (z); 4 left out" in lines


def test_predictions_among_the_maps_are_named_and_not_used(lines, damaged):
    assert (
        "1 file among the measured maps were predicted by bids_dtg and will not be used"
        in lines
    )


def test_a_table_has_the_figures_of_each_map_and_what_they_mean(lines, damaged):
    folder = damaged.out / "group/model-own"
    rows = read_table(folder / "desc-measuredMaps_qc.tsv")
    assert len(rows) == 20
    by_person = {
        row["participant_id"]: row for row in rows if row["contrast"] == CONTRASTS[0]
    }
    assert by_person["sub-01"]["findings"] == "mirrored"
    assert (
        float(by_person["sub-01"]["side_r"]) < 0 < float(by_person["sub-07"]["side_r"])
    )
    assert 300 < float(by_person["sub-04"]["scale"]) < 3000
    assert {
        row["findings"] for label, row in by_person.items() if label > "sub-05"
    } == {"n/a"}
    meanings = json.loads((folder / "desc-measuredMaps_qc.json").read_text())
    assert set(meanings) == {"Description", *rows[0]}


def test_table_and_page_name_the_files_of_each_target(lines, damaged):
    folder = damaged.out / "group/model-own"
    rows = read_table(folder / "desc-targets_files.tsv")
    (row,) = (
        row
        for row in rows
        if row["participant_id"] == "sub-07" and row["contrast"] == CONTRASTS[1]
    )
    assert row["files"] == name_of("07", CONTRASTS[1])
    assert [row[key] for key in ("use", "statistic", "space")] == [
        "target",
        "z",
        "MNI152NLin6Asym",
    ]
    page = (folder / "report.html").read_text()
    assert (
        f"20 z maps of 10 participants, such as {Path(name_of('01', CONTRASTS[0])).name}"
        in page
    )
    assert "sub-01, mirrored in 2 of 2 targets" in page
    for text in (page, (folder / "desc-targets_files.tsv").read_text()):
        assert str(damaged.folder) not in text


@pytest.mark.slow
def test_a_retest_that_is_a_copy_is_refused(tmp_path, capsys):
    cohort = TinyCohort(tmp_path, PEOPLE[:8])
    for path in [*cohort.statmaps.glob("sub-01/*_ses-a_*")]:
        shutil.copy(path, str(path).replace("_ses-a_", "_ses-b_"))
    words = ("--architecture", "linear", *sets(PEOPLE[:8], 0, 0.25))
    assert cohort.analyse("train", *words) == 1
    line = "sub-01 is left out: the same set of measured maps occurs twice"
    assert line in capsys.readouterr().err


# --- levels, tasks and runs, as programs write them


@pytest.fixture
def cohort(tmp_path):
    return SmoothCohort(tmp_path, PEOPLE[:8])


@pytest.mark.slow
def test_a_space_that_no_name_states_is_reported(cohort, tmp_path, capsys):
    for path in list(cohort.statmaps.rglob("*.nii.gz")):
        path.rename(path.with_name(path.name.replace("space-MNI152NLin6Asym_", "")))
    assert train(cohort) == 0
    line = "16 files of measured maps"
    assert line in capsys.readouterr().err
    assert line in (cohort.out / "group/model-own/report.html").read_text()
