"""Damaged and hostile input: an error that names the file, the right exit code, others whole."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import array_people
import h5py
import numpy as np
import pytest
import twin_people
from fmriprep_dataset import confound_columns, make_image, write_confounds
from itk_files import affine_part, field_part, write_composite
from maps_bundle import TINY_AFFINE, TINY_SHAPE
from maps_cohort import TinyCohort
from maps_job import FRAMES, TR, TinyJob, add_rest, tiny_bold, tree
from network_job import REGIONS, NetworkJob, weights
from scipy.io import savemat
from split_options import sets
from study_folders import add_transforms

from bids_dtg.dynamics.participant.sources import find_output_people
from bids_dtg.settings import Settings

pytestmark = pytest.mark.slow

Edit = Callable[[Path], object]

FUNC = Path("sub-01", "func")
GRID = "sub-01_task-rest_space-MNI152NLin6Asym_res-2"
BOLD = FUNC / f"{GRID}_desc-preproc_bold.nii.gz"
SIDECAR = FUNC / f"{GRID}_desc-preproc_bold.json"
MASK = FUNC / f"{GRID}_desc-brain_mask.nii.gz"
CONFOUNDS = FUNC / "sub-01_task-rest_desc-confounds_timeseries.tsv"
AFFINE = Path("sub-01/anat/sub-01_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt")
COMPOSITE = AFFINE.with_suffix(".h5")
EVENTS = Path("sub-c0p0000/func/sub-c0p0000_task-stroopAP_run-01_events.tsv")


# --- damages: each changes a sound file


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("../../.git/annex/objects/absent")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def holding(content: str | bytes) -> Edit:
    """Return a damage that puts something else in a file's place."""
    return lambda path: path.write_bytes(
        content.encode() if isinstance(content, str) else content
    )


def replaced(old: str, new: str) -> Edit:
    """Return a damage that changes words of a text."""

    def edit(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


def image(values: np.ndarray, affine: np.ndarray = TINY_AFFINE) -> Edit:
    return lambda path: make_image(path, values, affine, TR)


def header(offset: int, stored: bytes) -> Edit:
    """Return a damage to bytes of a NIfTI header."""

    def edit(path: Path) -> None:
        content = gzip.decompress(path.read_bytes())
        path.write_bytes(
            gzip.compress(content[:offset] + stored + content[offset + len(stored) :])
        )

    return edit


def longer(path: Path) -> None:
    """Have a file hold twice the frames that its header states."""
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content + content[352:]))


def confounds(change: Callable[[dict[str, list[str]]], object]) -> Edit:
    def edit(path: Path) -> None:
        columns = confound_columns(FRAMES)
        change(columns)
        write_confounds(path, columns)

    return edit


def arrays(**changes: object) -> Edit:
    """Return a damage to arrays of a file of people."""
    return lambda path: array_people.write(path, **{**array_people.arrays(), **changes})


def endless(high: int) -> Edit:
    """Return a damage to the length of a text, in whose file HDF5 then looks for it for ever."""

    def edit(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[content.index(b"GCOL") + 25] = high
        path.write_bytes(content)

    return edit


def in_a_pipe(name: str) -> Edit:
    """Return a damage that has an array of an HDF5 file read from a pipe, which waits for ever."""

    def edit(path: Path) -> None:
        pipe = path.with_name("pipe")
        os.mkfifo(pipe)
        with h5py.File(path, "r+") as file:
            shape, dtype = file[name].shape, file[name].dtype
            del file[name]
            file.create_dataset(
                name, shape, dtype, external=[(str(pipe), 0, h5py.h5f.UNLIMITED)]
            )

    return edit


def of_another_type(path: Path) -> None:
    """Give the names of people a type of HDF5 that NumPy lacks."""
    with h5py.File(path, "r+") as file:
        del file["people"]
        space = h5py.h5s.create_simple((12,))
        h5py.h5d.create(file.id, b"people", h5py.h5t.UNIX_D32LE, space)


def composite(name: str, values: object) -> Edit:
    """Return a damage to the displacements of a transform."""

    def edit(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file["TransformGroup"]["2"][name]
            file["TransformGroup"]["2"][name] = values

    return edit


# --- files of one participant: the others' outputs are the same bytes

OF_A_PERSON = {
    BOLD: {
        "empty": empty,
        "truncated": truncated,
        "text": holding("<html>404 Not Found</html>" * 20),
        "three dimensions": image(tiny_bold()[..., 0]),
        "no affine": header(280, bytes(48)),
        "voxels of 1e38 mm": header(280, np.float32(1e38).tobytes()),
        "a pipe": a_pipe,
        "squares beyond float32": image(tiny_bold().astype(np.float32) * 1e18),
        "a magic of pairs": header(344, b"ni1\0"),
        "a size of no header": header(0, (340).to_bytes(4, "little")),
        "values that begin at byte 0": header(108, bytes(4)),
        "twice its frames": longer,
        "annex": holding("/annex/objects/MD5E-s123--abc.nii.gz\n"),
        "broken link": broken_link,
        "folder": folder,
    },
    MASK: {
        "truncated": truncated,
        "twice its voxels": longer,
        "four dimensions": image(np.ones((*TINY_SHAPE, 2), np.uint8)),
        "NaN only": image(np.full(TINY_SHAPE, np.nan, np.float32)),
        "zeros": image(np.zeros(TINY_SHAPE, np.uint8)),
        "broken link": broken_link,
    },
    CONFOUNDS: {
        "bytes": holding(b"\x00\xff\xfe" * 100),
        "too few rows": confounds(
            lambda columns: [column.pop() for column in columns.values()]
        ),
        "no motion": confounds(lambda columns: columns.pop("trans_x")),
        "broken link": broken_link,
        "no values": confounds(
            lambda columns: columns["csf"].__setitem__(slice(30), ["n/a"] * 30)
        ),
        "a word": confounds(lambda columns: columns["trans_x"].__setitem__(7, "oops")),
    },
    SIDECAR: {
        "truncated": truncated,
        "broken link": broken_link,
        "folder": folder,
    },
    AFFINE: {
        "truncated": truncated,
        "too few numbers": replaced("Parameters: 1.0", "Parameters:"),
    },
    COMPOSITE: {
        "truncated": truncated,
        "too few numbers": composite("TransformParameters", np.zeros(9)),
        "numbers in a pipe": in_a_pipe("TransformGroup/2/TransformParameters"),
    },
}


def people(folder: Path, damaged: Path) -> TinyJob:
    """Make two participants, of whom 01 needs the file."""
    job = TinyJob(folder, ("01", "02"))
    if damaged in (AFFINE, COMPOSITE):
        shutil.rmtree(job.bids / "sub-01")
        add_rest(job.bids, "01", space=None, res=None)
        add_transforms(job.bids)
    if damaged == COMPOSITE:
        (job.bids / AFFINE).unlink()
        lattice = np.diag([40.0, 40, 40, 1])
        lattice[:3, 3] = -100
        parts = [affine_part(np.eye(4)), field_part(np.zeros((6, 6, 6, 3)), lattice)]
        write_composite(job.bids / COMPOSITE, parts)
    return job


@pytest.fixture(scope="module")
def of_the_other(tmp_path_factory) -> dict[str, str]:
    """Return the outputs of participant 02 where nothing is damaged."""
    job = TinyJob(tmp_path_factory.mktemp("whole"), ("01", "02"))
    assert job.run("--nprocs", "1") == 0
    return outputs(job.out, "02")


def outputs(out: Path, label: str) -> dict[str, str]:
    return {
        name: sha for name, sha in tree(out).items() if name.startswith(f"sub-{label}")
    }


def the_line(capsys) -> str:
    """Return the only line that tells of an error."""
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "internal error" not in err
    (line,) = [
        line for line in err.splitlines() if "error: " in line or "failed: " in line
    ]
    return line


def rows(table: dict) -> list:
    return [
        pytest.param(name, damage, id=f"{Path(name).name} {how}")
        for name, damages in table.items()
        for how, damage in damages.items()
    ]


@pytest.mark.parametrize(("name", "damage"), rows(OF_A_PERSON))
def test_a_damaged_file_costs_its_participant_alone(
    tmp_path, capsys, of_the_other, name, damage
):
    job = people(tmp_path, name)
    damage(job.bids / name)
    assert job.run("--nprocs", "1") == 1
    line = the_line(capsys)
    assert "sub-01: failed: " in line
    assert name.name.removesuffix(".nii.gz") in line
    assert outputs(job.out, "01") == {}
    assert outputs(job.out, "02") == of_the_other


@pytest.fixture
def soon(monkeypatch) -> None:
    """End processes that are stuck after seconds."""
    monkeypatch.setattr("bids_dtg.engine.pool._STUCK_SECONDS", 10.0)
    monkeypatch.setattr("bids_dtg.engine.pool._LOOK_SECONDS", 0.2)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_file_that_never_ends_costs_its_participant_alone(
    tmp_path, capsys, soon, of_the_other, processes
):
    job = people(tmp_path, COMPOSITE)
    endless(1)(job.bids / COMPOSITE)
    assert job.run("--nprocs", processes) == 1
    line = the_line(capsys)
    assert "sub-01: failed: it took too long: no step for 10 s" in line
    assert COMPOSITE.name in line
    assert outputs(job.out, "01") == {}
    assert outputs(job.out, "02") == of_the_other


@pytest.mark.slow
def test_a_file_that_never_ends_costs_its_participant_alone_on_dask(
    tmp_path, capsys, soon, of_the_other
):
    distributed = pytest.importorskip("distributed")
    job = people(tmp_path, COMPOSITE)
    endless(1)(job.bids / COMPOSITE)
    # Its workers are threads here, so that the limit is that of `soon`.
    with distributed.LocalCluster(
        n_workers=1, processes=False, dashboard_address=None
    ) as local:
        assert job.run("--scheduler", local.scheduler_address) == 1
    line = the_line(capsys)
    assert "sub-01: failed: it took too long: no step for 10 s" in line
    assert outputs(job.out, "01") == {}
    assert outputs(job.out, "02") == of_the_other


MEASURE = "atlas_Slabs_radius2_count_connectivity"


def connectomes(folder: Path) -> tuple[NetworkJob, Path]:
    """Make three people with .mat connectomes, of which the first ends SciPy's process."""
    job = NetworkJob(folder, ("01", "02", "03"))
    for number, label in enumerate(("01", "02", "03")):
        path = job.structural / f"sub-{label}/dwi/sub-{label}_connectivity.mat"
        (path.parent / f"sub-{label}_relmat.tsv").unlink()
        labels = {"atlas_Slabs_region_labels": REGIONS}
        savemat(path, {MEASURE: weights(number), **labels, "command": "tck2connectome"})
    damaged = job.structural / "sub-01/dwi/sub-01_connectivity.mat"
    content = bytearray(damaged.read_bytes())
    name = MEASURE.encode()
    content[content.index(name) + len(name) // 8 * 8 + 8] = 15  # no type of numbers
    damaged.write_bytes(content)
    return job, damaged


@pytest.mark.parametrize("processes", [1, 2])
def test_a_connectome_that_ends_its_process_costs_its_participant_alone(
    tmp_path, capsys, processes
):
    job, damaged = connectomes(tmp_path)
    words = ["--structural-connectivity", job.structural, "--nprocs", processes]
    assert job.run(*words, "--dry-run") == 1
    told = capsys.readouterr().out
    (line,) = [line for line in told.splitlines() if line.startswith("sub-01: ")]
    assert (
        "sub-01: would fail: the process that read its files died: it was ended by SIG"
        in line
    )
    assert line.endswith(f" after opening {damaged}")
    assert "3 participants, 1 would fail" in told
    assert job.run(*words) == 1
    line = the_line(capsys)
    assert (
        "sub-01: failed: the process that read sub-01 died: it was ended by SIG" in line
    )
    assert line.endswith(f" after opening {damaged}")
    assert outputs(job.out, "01") == {}
    assert len(outputs(job.out, "02")) == len(outputs(job.out, "03")) > 5
    # At the group level too.
    settings = Settings.of(
        bids_dir=job.bids,
        output_dir=job.out,
        analysis_level="group",
        workflow="dynamics",
        analysis="train",
        structural_connectivity=job.structural,
    )
    copy = job.out / "sub-01"
    shutil.copytree(job.out / "sub-02", copy)
    for path in copy.rglob("sub-02*"):
        path.rename(path.with_name(path.name.replace("sub-02", "sub-01")))
    people = find_output_people(settings)
    assert people.labels == ("01", "02", "03")
    assert people.connected == {"02", "03"}
    (note,) = [note for note in people.notes if "left out" in note]
    assert re.search(
        rf"died: it was ended by SIG\w+ after opening {damaged} \(sub-01", note
    )


# --- files of the call: it is refused before anything is written

FILTER, CONFIG = "filter.json", "config.toml"
ATLAS = "atlas-My_space-MNI152NLin6Asym_dseg.nii.gz"
LABELS = ATLAS.replace(".nii.gz", ".tsv")
OF_THE_CALL = {
    "fmriprep/dataset_description.json": {
        "truncated": truncated,
    },
    FILTER: {
        "truncated": truncated,
        "an unknown key": holding('{"bold": {"spac": "T1w"}}'),
        "nested": holding("[" * 100_000),
    },
    CONFIG: {
        "not TOML": truncated,
        "an unknown key": holding("[cleaning]\nfilter = 1\n"),
        "wrong type": holding('[cleaning]\nmin_minutes = "many"\n'),
    },
    ATLAS: {
        "truncated": truncated,
        "four dimensions": image(np.ones((*TINY_SHAPE, 3), np.int16)),
        "fractions": image(np.full(TINY_SHAPE, 0.3, np.float32)),
    },
    LABELS: {
        "no name": holding("index\tname\n1\n"),
        "bytes": holding(b"index\tname\n1\t\xff\xfe\n"),
    },
    "tiny/model.json": {"truncated": truncated, "a list": holding("[]")},
    "tiny/weights.safetensors": {"truncated": truncated},
    "tiny/maps.nii.gz": {"truncated": truncated},
    "tiny/mask.nii.gz": {"gone": Path.unlink},
}


@pytest.mark.parametrize(("name", "damage"), rows(OF_THE_CALL))
def test_a_damaged_file_of_the_call_is_refused(tmp_path, capsys, name, damage):
    job = TinyJob(tmp_path)
    (tmp_path / FILTER).write_text('{"bold": {"task": "rest"}}')
    (tmp_path / CONFIG).write_text("[cleaning]\nmin_minutes = 1\n")
    parcels = np.arange(1080, dtype=np.int16).reshape(TINY_SHAPE) % 3
    make_image(tmp_path / ATLAS, parcels, TINY_AFFINE)
    (tmp_path / LABELS).write_text("index\tname\n1\tA\n2\tB\n")
    damage(tmp_path / name)
    words = ["--bids-filter-file", FILTER, "--config-file", CONFIG, "--atlases", ATLAS]
    assert job.run(*(tmp_path / w if "." in w else w for w in words)) == 2
    assert Path(name).name in the_line(capsys)
    assert not job.out.exists()


# --- files of analyses

ARRAYS_OF_PEOPLE = {
    "truncated": truncated,
    "two dimensions": arrays(rest=np.ones((12, 30), np.float32)),
    "fewer people than rest": arrays(people=np.array(["a", "b"])),
    "no time between frames": arrays(tr_seconds=np.array(-2.0)),
    "a session of two lines": arrays(session=np.array("a\nb")),
}


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *rows({"all.npz": ARRAYS_OF_PEOPLE, "all.h5": ARRAYS_OF_PEOPLE}),
        pytest.param(
            "all.npz",
            arrays(people=np.array([{"a": 1}] * 12, object)),
            id="all.npz pickled",
        ),
        pytest.param("all.h5", in_a_pipe("rest"), id="all.h5 in a pipe"),
        pytest.param("all.h5", of_another_type, id="all.h5 type"),
        pytest.param("all.h5", endless(15), id="all.h5 endless"),
    ],
)
def test_damaged_arrays_are_refused(tmp_path, capsys, soon, name, damage):
    array_people.write(tmp_path / name, **array_people.arrays())
    damage(tmp_path / name)
    assert array_people.call(tmp_path, "train", "--omp-nthreads", 1, file=name) == 2
    assert name in the_line(capsys)
    assert not (tmp_path / "out/group").exists()


SIDES = ["training"] * 5 + ["validation", "test", "test"]
SPLIT = "participant_id\tset\n" + "".join(
    f"sub-{number:02d}\t{side}\n" for number, side in enumerate(SIDES, 1)
)
FAMILIES = "participant_id\tage\tfamily_id\n" + "".join(
    f"sub-{number:02d}\t{20 + number}\t{number % 5}\n" for number in range(1, 9)
)
OF_A_TRAINING = {
    "split.tsv": {
        "an unknown set": replaced("validation", "nonsense"),
        "a person twice": holding(SPLIT + "sub-01\ttest\n"),
    },
    "fmriprep/participants.tsv": {
        "another encoding": holding(FAMILIES.encode("utf-16")),
        "annex": holding("/annex/objects/MD5E-s123--abc.tsv\n"),
        "too many cells": replaced("sub-01\t21\t1", "sub-01\t21\t1\t9"),
        "a person twice": holding(FAMILIES + "sub-01\t21\t4\n"),
    },
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> TinyCohort:
    return TinyCohort(tmp_path_factory.mktemp("cohort"))


@pytest.mark.parametrize(("name", "damage"), rows(OF_A_TRAINING))
def test_a_damaged_file_of_a_training_is_refused(
    cohort, tmp_path, capsys, name, damage
):
    (cohort.folder / "split.tsv").write_text(SPLIT)
    (cohort.bids / "participants.tsv").write_text(FAMILIES)
    damage(cohort.folder / name)
    words = ["--architecture", "linear", "--dry-run"]
    if name == "split.tsv":
        words += ["--split-file", cohort.folder / "split.tsv"]
    assert cohort.analyse("train", *words, out=tmp_path / "out") == 2
    assert Path(name).name in the_line(capsys)


# What cannot be read costs the person; a map without values, that map alone.
MEASURED = {
    "truncated": (truncated, 1),
    "four dimensions": (image(np.ones((*TINY_SHAPE, 4), np.float32)), 1),
    "nan": (image(np.full(TINY_SHAPE, np.nan, np.float32)), 0),
    "zeros": (image(np.zeros(TINY_SHAPE, np.float32)), 0),
}


@pytest.mark.parametrize("how", MEASURED)
def test_a_damaged_map_costs_its_participant_alone(tmp_path, capsys, how):
    cohort = TinyCohort(tmp_path)
    (path, *_) = sorted((cohort.statmaps / "sub-01").iterdir())
    damage, expected = MEASURED[how]
    damage(path)
    words = [
        "--architecture",
        "linear",
        *sets(cohort.labels, 0, 0.25),
        "--model-name",
        "own",
    ]
    assert cohort.analyse("train", *words, "--no-reports") == expected
    told = capsys.readouterr().err
    assert "Traceback" not in told
    named = path.name if expected else "unusable in 1 of 2 targets (emotionFaces)"
    assert any(named in line and "sub-01" in line for line in told.splitlines())
    split = (cohort.out / "group/model-own/desc-split_participants.tsv").read_text()
    assert ("sub-01" in split) == (not expected)
    assert "sub-08" in split


EVENT_FILES = {
    "empty": empty,
    "other columns": holding("a\tb\n1\t2\n"),
    "words for times": replaced("\n83.0\t", "\nsoon\t"),
}


@pytest.mark.parametrize("how", EVENT_FILES)
def test_damaged_events_cost_their_run_alone(tmp_path, capsys, how):
    twins = twin_people.write_twins(tmp_path)
    EVENT_FILES[how](twins / "bids" / EVENTS)
    assert train_twins(twins, "--dry-run") == 0
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert any(
        "1 run of 1 participant" in line and EVENTS.name in line
        for line in told.split("\n")
    )


def train_twins(folder: Path, *words: str) -> int:
    from bids_dtg.cli.run import main

    return main(
        twin_people.arguments(
            folder, folder / "out", "train", *twin_people.TRAIN, *words
        )
    )


# --- what an earlier call has left: made again, and never read or written elsewhere

RECORD = "logs/complete/sub-01_task-rest.json"
OUTSIDE = {"../../victim": {"Size": 6, "MTimeNs": 0, "SHA256": "0" * 64}}


def outputs_of_record(edit: Callable[[dict], object]) -> Edit:
    def change(path: Path) -> None:
        facts = json.loads(path.read_text())
        edit(facts)
        path.write_text(json.dumps(facts))

    return change


EARLIER = {
    RECORD: {
        "truncated": truncated,
        "bytes": holding(b'{"a": "\xff"}'),
        "of other folders": outputs_of_record(
            lambda facts: facts["Outputs"].update(OUTSIDE)
        ),
        "of methods elsewhere": outputs_of_record(
            lambda f: f.update(Methods="../../../victim")
        ),
    },
    "sub-01/func/*_statmap.nii.gz": {
        "empty": empty,
        "truncated": truncated,
        "gone": Path.unlink,
    },
    "sub-01/*_statmap.json": {"empty": empty, "a list": holding("[]")},
    "sub-01/func/*_qc.tsv": {"empty": empty, "words": holding("a\tb\nx\ty\n")},
    "participants.tsv": {"empty": empty, "bytes": holding(b"participant_id\n\xff\n")},
}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory) -> TinyJob:
    job = TinyJob(tmp_path_factory.mktemp("earlier"), ("01", "02"))
    assert job.run("--nprocs", "1") == 0
    return job


@pytest.mark.parametrize(("pattern", "damage"), rows(EARLIER))
def test_damaged_outputs_are_made_again(earlier, tmp_path, capsys, pattern, damage):
    out, victim = tmp_path / "out", tmp_path / "victim"
    shutil.copytree(earlier.out, out)
    victim.write_text("victim")
    damage(min(out.glob(pattern)))
    code = earlier.run("--nprocs", "1", out=out)
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert "internal error" not in told
    assert victim.read_text() == "victim"
    assert outputs(out, "02") == outputs(earlier.out, "02")
    assert (code, outputs(out, "01")) == (0, outputs(earlier.out, "01"))


# --- names and words that would act on a terminal, a page or a path

FORGED = b"\nbids_dtg: error: forged"
ESCAPE, TITLE = b"\x1b[31m", b"\x1b]0;owned\x07"
ACTING = tuple(chr(code) for code in (*range(9), *range(11, 32), 127, 155, 0x202E))


def assert_nothing_acts(told: str) -> None:
    assert "Traceback" not in told
    assert "internal error" not in told
    assert not [character for character in ACTING if character in told]
    assert "bids_dtg: error: forged" not in told.splitlines()


@pytest.mark.parametrize(
    "name",
    [
        *(
            b"sub-..",
            b"sub-",
            b"sub- 01 ",
            b"sub-0" + FORGED,
            b"sub-" + TITLE,
            b"sub-\xff\xfe",
        ),
        *(
            b"sub-\xc2\x9b31m",
            "sub-\u202e10".encode(),
            b"sub-<script>alert(1)<",
            b"sub--help",
        ),
        *(b"sub-01_task-x", b"sub-%s%n{0}", b"sub-" + b"x" * 240, b"sub-[red]x"),
    ],
    ids=repr,
)
def test_a_hostile_folder_costs_nobody_else(tmp_path, capfd, of_the_other, name):
    job = TinyJob(tmp_path, ("01", "02"))
    shutil.copytree(job.bids / "sub-01", job.bids / os.fsdecode(name))
    assert job.run("--nprocs", "1") in (0, 1)
    assert_nothing_acts(capfd.readouterr().err)
    assert outputs(job.out, "02") == of_the_other
    assert {path.name for path in tmp_path.iterdir()} == {"fmriprep", "tiny", "out"}


def test_a_name_that_acts_on_a_terminal_names_no_page(tmp_path, capfd):
    job = TinyJob(tmp_path, ("01",))
    job.reports = True
    shutil.copytree(job.bids / "sub-01", job.bids / os.fsdecode(b"sub-" + TITLE))
    assert job.run("--nprocs", "1") == 1
    assert_nothing_acts(capfd.readouterr().err)
    pages = sorted(path.name for path in job.out.glob("sub-*.html"))
    assert pages == ["sub-01.html"]


@pytest.mark.parametrize(
    "words",
    [
        *(["--participant-label", "../01"], ["--participant-label", "01\x1b[31m\n"]),
        *(
            ["--task-id", "../x"],
            ["--session-label", "../../etc"],
            ["--space", "../../x"],
        ),
        *(["--model", "../../../etc"], ["--model", "a\0b"], ["--model", "m" * 5000]),
        *(
            ["--atlases", "../../etc/passwd"],
            ["--atlases", "~nosuchuser/a.nii"],
            ["-d", ""],
        ),
        ["--\x1b[31mforged"],
        *(["--mem-gb", "9" * 5000], ["--seed", "-1"], ["--fd-threshold", "nan"]),
    ],
    ids=repr,
)
def test_hostile_words_are_refused(tmp_path, capfd, words):
    job = TinyJob(tmp_path)
    try:
        code = job.run(*words)
    except SystemExit as end:
        code = end.code
    told = capfd.readouterr().err
    assert code == 2
    assert "error: " in told
    assert_nothing_acts(told)
    assert not job.out.exists()


def test_words_of_a_model_act_on_nobody(tmp_path, capfd):
    from maps_bundle import write_tiny_bundle

    job = TinyJob(tmp_path)
    job.model, job.reports = tmp_path / "hostile", True
    word = f"{TITLE.decode()}\u202e{FORGED.decode()}<script>alert(1)</script>"
    keys = ("notice", "citation", "description", "licence")
    write_tiny_bundle(job.model, **dict.fromkeys(keys, word))
    assert job.run("--nprocs", "1") == 0
    assert_nothing_acts(capfd.readouterr().err)
    for path in job.out.rglob("*"):
        if path.suffix in {".html", ".md", ".tsv"} or path.name == "README":
            text = path.read_text("utf-8")
            assert not [character for character in ACTING if character in text], path
            assert path.suffix != ".html" or "<script>alert(1)" not in text, path


def test_a_region_that_a_spreadsheet_would_run_is_text(tmp_path):
    name, job = "=cmd|' /C calc'!A0", NetworkJob(tmp_path)
    (table,) = tmp_path.glob("atlas-*.tsv")
    table.write_text(table.read_text().replace(REGIONS[0], name))
    assert job.run("--nprocs", "1") == 0
    tables = [path.read_text() for path in job.out.rglob("*.tsv")]
    cells = [
        cell
        for text in tables
        for line in text.splitlines()
        for cell in line.split("\t")
    ]
    assert f"'{name}" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "@"))]
    settings = Settings.of(
        bids_dir=job.bids,
        output_dir=job.out,
        analysis_level="group",
        workflow="dynamics",
        analysis="train",
    )
    assert find_output_people(settings, connected=False).regions == (name, *REGIONS[1:])


def test_links_that_lead_round_end(tmp_path, of_the_other):
    job = TinyJob(tmp_path, ("01", "02"))
    (job.bids / FUNC / "loop").symlink_to(".")
    (job.bids / "sub-01/again").symlink_to("..")
    (job.bids / "sub-01/itself").symlink_to("itself")
    assert job.run("--nprocs", "1") == 0
    assert outputs(job.out, "02") == of_the_other


# --- two hundred inputs by chance, the same each time

INPUTS = 200
STRANGE = (
    *(
        "",
        " ",
        "n/a",
        "nan",
        "-inf",
        "1e400",
        "9" * 5000,
        "0x1F",
        "../../x",
        "~nosuchuser",
    ),
    *(
        "\x00",
        "\x1b[31m",
        "\r\n",
        "\t",
        '"',
        "\\",
        "{}",
        "[[",
        "%s%n",
        "<script>",
        "\u202e",
        "\ufeff",
    ),
    *("true", "null", "-1", "sub-..", "x" * 3000),
)


def changed(rng: random.Random, content: bytes) -> bytes:
    """Change bytes: turned over, cut out, doubled, cut off, or a word in their place."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(content) + 1)
        to = at + rng.choice((1, 1, 4, 8, 64, 512))
        piece = content[at:to]
        new = rng.choice(
            (
                bytes(b ^ 255 for b in piece),
                b"",
                piece * 2,
                rng.choice(STRANGE).encode(),
            )
        )
        content = (
            content[:at] if rng.random() < 0.1 else content[:at] + new + content[to:]
        )
    return content


def test_inputs_made_by_chance_end_in_a_line(tmp_path, capfd):
    rng, wrong = random.Random(1), []
    job = TinyJob(tmp_path, ("01", "02"))
    (tmp_path / FILTER).write_text('{"bold": {"task": "rest", "session": null}}')
    (tmp_path / CONFIG).write_text("[cleaning]\nmin_minutes = 1.0\nhigh_pass = 0.008\n")
    make_image(tmp_path / ATLAS, np.ones(TINY_SHAPE, np.int16), TINY_AFFINE)
    (tmp_path / LABELS).write_text("index\tname\n1\tA\n")
    words = [
        "--participant-label",
        "01",
        "02",
        "--nprocs",
        "1",
        "--denoise-strategy",
        "simple",
    ]
    words += [
        "--bids-filter-file",
        tmp_path / FILTER,
        "--config-file",
        tmp_path / CONFIG,
    ]
    words += ["--atlases", tmp_path / ATLAS]
    assert job.run(*words, out=tmp_path / "whole") == 0
    of_the_other = outputs(tmp_path / "whole", "02")
    of_a_person = [f"fmriprep/{name}" for name in (BOLD, MASK, CONFOUNDS, SIDECAR)]
    of_the_call = [FILTER, CONFIG, ATLAS, LABELS, "fmriprep/dataset_description.json"]
    of_the_call += ["tiny/model.json", "tiny/weights.safetensors", "tiny/maps.nii.gz"]
    for number in range(INPUTS):
        name = rng.choice(of_a_person + of_the_call)
        path, out = tmp_path / name, tmp_path / f"{number}"
        sound = path.read_bytes()
        inside = path.suffix == ".gz" and rng.random() < 0.7
        spoilt = changed(rng, gzip.decompress(sound) if inside else sound)
        path.write_bytes(gzip.compress(spoilt, 1) if inside else spoilt)
        code = job.run(*words, out=out)
        told = capfd.readouterr().err
        try:
            assert code in (0, 1, 2)
            assert_nothing_acts(told)
            assert code == 0 or "error: " in told or "failed: " in told
            if name in of_a_person:
                assert code in (0, 1)
                assert outputs(out, "02") == of_the_other
        except AssertionError as fault:
            wrong.append((number, name, code, str(fault)[:300], told[-600:]))
        path.write_bytes(sound)
        shutil.rmtree(out, ignore_errors=True)
    assert wrong == []
