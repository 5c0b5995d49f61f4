"""Copies of a person under other labels stay together; copied sessions are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import array_people
import numpy as np
import pytest
from maps_cohort import TinyCohort
from maps_job import read_table
from split_options import sets
from twin_people import edges, write_average, write_twins
from written_cohort import WrittenCohort

from bids_dtg.cohort.group_participants import GroupParticipants, gather_participants
from bids_dtg.cohort.splits import draw_folds
from bids_dtg.dynamics.participant.network_participants import NetworkParticipants
from bids_dtg.errors import DatasetError
from bids_dtg.inputs.participants import Families
from bids_dtg.inputs.rest_sketch import sketch
from bids_dtg.settings import Settings
from bids_dtg.twin.participant.twin_participants import TwinParticipants

PEOPLE = 22
ONCE = tuple(f"{n:02d}" for n in range(PEOPLE))
TWICE = (*ONCE, *(f"c{label}" for label in ONCE))
ROIS = 12


def two(values: np.ndarray) -> np.ndarray:
    """Return people's values, and what a second conversion might make of the same people's."""
    rng = np.random.default_rng(1)
    return np.concatenate(
        [values, values * 2 * (1 + 1e-6 * rng.standard_normal(values.shape))]
    )


def require_together(sides: list[tuple[str, ...]]) -> None:
    """Raise if a person and the copy are on two sides."""
    assert sorted(label for side in sides for label in side) == sorted(TWICE)
    for side in sides:
        assert {label.removeprefix("c") for label in side} == {
            label for label in side if not label.startswith("c")
        }


def settings(folder: Path, workflow: str, analysis: str, **more: object) -> Settings:
    (folder / "study").mkdir(exist_ok=True)
    given = {
        "bids_dir": folder / "study",
        "output_dir": folder / "out",
        "analysis_level": "group",
    }
    return Settings.of(**given, workflow=workflow, analysis=analysis, **more)


def network_people(
    folder: Path, sessions: dict[str, np.ndarray], **more: object
) -> NetworkParticipants:
    for name, rest in sessions.items():
        people = {
            "people": np.array(TWICE[: len(rest)]),
            "tr_seconds": 0.72,
            "session": name,
        }
        array_people.write(folder / f"{name}.npz", rest=rest, **people)
    files = tuple(str(folder / f"{name}.npz") for name in sessions)
    words = settings(folder, "dynamics", "evaluate", input_arrays=files, **more)
    return NetworkParticipants.prepare(words, connected=False)


def chance_rest(seed: int = 0, people: int = PEOPLE) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(people, 6, 90))


def test_folds_have_people_with_their_copies(tmp_path):
    people = network_people(tmp_path, {"1": two(chance_rest())}, folds=5)
    require_together([*draw_folds(people_settings(5), people.labels, people.families)])
    assert people.notes[-1].startswith(
        "the same rest under several labels (22 times): sub-00 = sub-c00, sub-01 = sub-c01, "
    )


def people_settings(folds: int) -> Settings:
    words = {
        "bids_dir": "in",
        "output_dir": "out",
        "analysis_level": "group",
        "folds": folds,
    }
    return Settings.of(**words, workflow="dynamics", analysis="evaluate")


@pytest.mark.slow
def test_a_session_that_is_a_copy_of_another_is_refused(tmp_path, capsys):
    made = array_people.arrays()
    for session in ("1", "2"):
        rest = made["rest"] * (3 if session == "2" else 1)
        people = {"people": made["people"], "tr_seconds": 2.0, "session": session}
        array_people.write(tmp_path / f"{session}.npz", rest=rest, **people)
    words = [str(tmp_path / "2.npz"), "--folds", "3"]
    assert array_people.call(tmp_path, "evaluate", *words, file="1.npz") == 2
    said = capsys.readouterr().err
    assert (
        "the same rest occurs twice (12 participants): sub-000 in session 1 and "
        in said
    )
    # What the line says to do.
    words += ["--session-label", "1", "--dry-run"]
    assert array_people.call(tmp_path, "evaluate", *words, file="1.npz") == 0


def test_copies_of_relatives_join_two_families():
    from bids_dtg.cohort.recognised_participants import with_copies

    known = {
        label: {"rest": sketch(chance_rest(int(label[1:]), 1)[0])}
        for label in ("a1", "b1")
    }
    known |= {"a2": {"rest": sketch(chance_rest(2, 1)[0])}}
    found = with_copies(
        Families({"a1": "A", "a2": "A", "b2": "B", "b1": "B"}, ""), known
    )
    assert found.by_label == dict.fromkeys(("a1", "a2", "b1", "b2"), "A")
    assert found.copies == (("a1", "b1"),)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Six people as images, and each of them again under another label with other numbers."""
    import nibabel as nib

    labels = [f"{n:02d}" for n in range(1, 7)]
    cohort = TinyCohort(
        tmp_path_factory.mktemp("cohort"), [*labels, *(f"c{n}" for n in labels)]
    )
    for label in labels:
        for run in cohort.bids.glob(f"sub-{label}/**/*_bold.nii.gz"):
            image = nib.load(run)
            twice = image.get_fdata(dtype=np.float32) * 2
            copy = Path(str(run).replace(f"sub-{label}", f"sub-c{label}"))
            nib.save(nib.Nifti1Image(twice, image.affine, image.header), copy)
        for table in cohort.bids.glob(f"sub-{label}/**/*_timeseries.tsv"):
            shutil.copy(table, str(table).replace(f"sub-{label}", f"sub-c{label}"))
    return cohort


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("held_out", "maps"),
    [
        # Of 12 people 9 train: too few to make ROI maps of.
        ("0.25", "ROI maps are taken from tiny"),
        # 10 train, and their ROI maps are made before connectomes are read.
        pytest.param("0.17", "ROI maps: group ICA of 10", marks=pytest.mark.slow),
    ],
)
def test_copies_among_images_are_known_by_the_values_that_are_read(
    images, held_out, maps, capsys
):
    name, labels = f"of{held_out[2:]}", [f"{n:02d}" for n in range(1, 7)]
    labels += [f"c{label}" for label in labels]
    twice = {label: label.removeprefix("c") for label in labels}
    words = ("--architecture", "linear", "--seed", "1")
    words += sets(labels, 0, float(held_out), seed=1, families=twice)
    words += ("--model-name", name)
    assert images.analyse("train", *words) == 0
    said = capsys.readouterr().err
    assert maps in said
    assert "the same rest under several labels (6 times): sub-01 = sub-c01, " in said
    rows = read_table(images.out / f"group/model-{name}/desc-split_participants.tsv")
    sides = {row["participant_id"].removeprefix("sub-"): row["set"] for row in rows}
    assert len(sides) == 12
    assert all(side == sides[label.removeprefix("c")] for label, side in sides.items())


def test_copies_in_the_output_of_the_participant_level_are_known(tmp_path):
    folder = write_twins(tmp_path, tasks=("stroopAP",), number=4)
    for number, label in enumerate(("c0p0000", "c0p0001", "c0p0002")):
        write_average(tmp_path / "twin", label, edges()["edges"][number % 2])
    given = {"bids_dir": folder / "bids", "output_dir": tmp_path / "twin"}
    given |= {"analysis_level": "group", "workflow": "twin", "analysis": "train"}
    people = TwinParticipants.prepare(Settings.of(**given))
    assert people.families.copies == (("c0p0000", "c0p0002"),)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """People's results, twice: edges, maps, and a phenotype of chance."""
    cohort = WrittenCohort(tmp_path_factory.mktemp("written"), rois=ROIS)
    rng = np.random.default_rng(0)
    edges = np.tanh(0.3 * rng.normal(size=(PEOPLE, ROIS, ROIS)))
    edges = (edges + edges.transpose(0, 2, 1)) / 2
    edges[:, np.arange(ROIS), np.arange(ROIS)] = 1.0
    maps = rng.normal(size=(PEOPLE, 3, cohort.places))
    luck = rng.normal(size=PEOPLE).round(4).tolist()
    both = np.concatenate([edges, edges + 1e-6])
    cohort.write(np.concatenate([maps, maps]), both, {"luck": [*luck, *luck]})
    return cohort


@pytest.mark.slow
def test_a_chance_phenotype_of_people_who_are_in_twice_is_not_predicted(
    written, capsys
):
    words = ("--phenotype", "luck", "--name", "own")
    assert written.analyse("phenotypes", *words, "--permutations", 99) == 0
    said = capsys.readouterr().err
    assert (
        "the same connectome under several labels (22 times): sub-P000 = sub-P022, "
        in said
    )
    rows = read_table(written.out / "group/phenotypes-own/desc-phenotypes_scores.tsv")
    (found,) = [one for one in rows if one["features"] == "edges"]
    assert (found["people"], found["families"]) == ("44", "22")
    assert float(found["r"]) < 0.3
    assert float(found["p"]) > 0.05


def gathered(written: WrittenCohort, out: Path, **more: object) -> GroupParticipants:
    given = {"bids_dir": written.bids, "output_dir": out, "analysis_level": "group"}
    return gather_participants(
        Settings.of(**given, analysis="stats", model=str(written.model), **more)
    )


@pytest.mark.slow
def test_a_copied_session_is_refused_only_where_it_is_asked_for(written, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(written.out, out, ignore=shutil.ignore_patterns("group"))
    for path in [path for path in out.rglob("*sub-P000*") if path.is_file()]:
        for session in ("1", "2"):
            with_session = f"sub-P000_ses-{session}_"
            copy = path.with_name(path.name.replace("sub-P000_", with_session))
            try:
                copy.write_text(path.read_text().replace("sub-P000_", with_session))
            except UnicodeDecodeError:
                shutil.copy(path, copy)
        path.unlink()
    with pytest.raises(
        DatasetError,
        match=r"\(1 participant\): sub-P000 in sub-P000_ses-1_.*--session-lab",
    ):
        gathered(written, out)
    assert gathered(written, out, session_label=("1",)).related.copies[0] == (
        "P000",
        "P022",
    )


def test_people_who_cannot_be_compared_are_named(written, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(written.out, out)
    # Regions without data: of P002, too few edges are left.
    for label, lost in (("P001", 1), ("P023", 1), ("P002", ROIS - 2)):
        (path,) = (out / f"sub-{label}").rglob("*_relmat.tsv")
        lines = [line.split("\t") for line in path.read_text().splitlines()]
        first = len(lines[0]) - ROIS
        for row, cells in enumerate(lines[1:]):
            for column in range(ROIS):
                if min(row, column) < lost:
                    cells[first + column] = "n/a"
        path.write_text("\n".join("\t".join(cells) for cells in lines) + "\n")
    copies = gathered(written, out).related.copies
    assert ("P001", "P023") in copies
    assert len(copies) == PEOPLE - 1
    assert (
        "the connectome of 1 participant cannot be compared with that of others (sub-P002)"
        in (capsys.readouterr().err)
    )
