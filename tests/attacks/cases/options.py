"""Attacks by words: options, labels, names of folders."""

from __future__ import annotations

import gzip
import os
import shutil

from attacks.cases.case import add, case, rows
from attacks.scene import Scene, put

DIGITS = "9" * 5000


def give(scene: Scene, words: list[str]) -> None:
    scene.options += words


WRONG = {
    "task-path": ["--task-id", "../x"],
    "task-empty": ["--task-id", ""],
    "run-empty": ["--run", ""],
    "run-digits": ["--run", DIGITS],
    "run-negative": ["--run", "-1"],
    "session-path": ["--session-label", "../../etc"],
    "participant-path": ["--participant-label", "../01"],
    "participant-empty": ["--participant-label", ""],
    "participant-dots": ["--participant-label", "sub-.."],
    "participant-control": ["--participant-label", "01\x1b[31m\n"],
    "participant-surrogate": ["--participant-label", "01\udcff"],
    "min-minutes-nan": ["--min-minutes", "nan"],
    "min-minutes-infinite": ["--min-minutes", "inf"],
    "min-minutes-digits": ["--min-minutes", DIGITS],
    "min-dof-negative": ["--min-dof", "-1e400"],
    "fd-threshold-nan": ["--fd-threshold", "nan", "--denoise-strategy", "scrubbing"],
    "high-pass-above-low": ["--high-pass", "0.2", "--low-pass", "0.1"],
    "high-pass-infinite": ["--high-pass", "inf"],
    "smoothing-negative": ["--smoothing-fwhm", "-5"],
    "smoothing-nan": ["--smoothing-fwhm", "nan"],
    "dummy-scans-digits": ["--dummy-scans", DIGITS],
    "dummy-scans-negative": ["--dummy-scans", "-3"],
    "nprocs-0": ["--nprocs", "0"],
    "nprocs-digits": ["--nprocs", DIGITS],
    "threads-digits": ["--omp-nthreads", DIGITS],
    "memory-negative": ["--mem-gb", "-1"],
    "memory-nan": ["--mem-gb", "nan"],
    "seed-digits": ["--seed", DIGITS],
    "device": ["--device", "cuda:" + DIGITS],
    "device-empty": ["--device", ""],
    "device-unknown": ["--device", "meta"],
    "space-path": ["--space", "../../x"],
    "space-empty": ["--space", ""],
    "model-empty": ["--model", ""],
    "model-path": ["--model", "../../../etc"],
    "model-long": ["--model", "m" * 5000],
    "model-nul": ["--model", "a\0b"],
    "model-home": ["--model", "~nosuchuser/x"],
    "derivatives-home": ["-d", "~nosuchuser"],
    "derivatives-empty": ["-d", ""],
    "derivatives-equals": ["-d", "fmriprep="],
    "atlas-empty": ["--atlases", ""],
    "atlas-long": ["--atlases", "/" + "a" * 5000],
    "atlas-nul": ["--atlases", "a\0b.nii"],
    "atlas-home": ["--atlases", "~nosuchuser/a.nii"],
    "atlas-twice": ["--atlases", "HCP", "hcp"],
    "atlas-none-and-more": ["--atlases", "none", "HCP"],
    "atlas-no-name": ["--atlases", "../../etc/passwd"],
    "atlases-dataset": ["-d", "atlas=/nowhere"],
    "atlases-dataset-empty": ["-d", "atlas="],
    "coverage-nan": ["--min-coverage", "nan"],
    "coverage-much": ["--min-coverage", "7"],
    "filter-nul": ["--bids-filter-file", "a\0b"],
    "config-home": ["--config-file", "~nosuchuser/x"],
    "config-long": ["--config-file", "/" + "a/" * 3000],
    "scheduler": ["--scheduler", "not an address"],
    "unknown": ["--\x1b[31mforged"],
    "unknown-surrogate": ["--model\udcff"],
    "custom-braces": ["--custom-confounds", "/c/{sub}{0}{__class__}{"],
    "custom-format": ["--custom-confounds", "/c/{sub.__class__.__mro__}.tsv"],
}
rows("option", give, WRONG, (1, 2), healthy=False, seconds=12)
ODD = {
    "threads-100000": ["--omp-nthreads", "100000"],
    "nprocs-100000": ["--nprocs", "100000"],
    "memory-tiny": ["--mem-gb", "1e-300"],
    "memory-huge": ["--mem-gb", "1e300"],
    "smoothing-1e300": ["--smoothing-fwhm", "1e300"],
    "smoothing-1e-300": ["--smoothing-fwhm", "1e-300"],
    "high-pass-tiny": ["--high-pass", "1e-300"],
    "low-pass-tiny": ["--low-pass", "1e-300"],
    "low-pass-huge": ["--low-pass", "1e300"],
    "dummy-scans-1000": ["--dummy-scans", "1000"],
    "fd-threshold-tiny": ["--denoise-strategy", "scrubbing", "--fd-threshold", "1e-300"],
    "nothing-left": ["--min-minutes", "1e300"],
    "combine": ["--combine", "participant", "--write", "maps", "connectome"],
    "debug": ["--debug", "-vvv"],
}
rows("option", give, ODD, (0, 1, 2), healthy=False)


def out(scene: Scene, value: str) -> None:
    scene.arguments = [str(scene.bids), value, "participant", "--model", str(scene.model)]


rows(
    "output",
    out,
    {
        "empty": "",
        "nul": "a\0b",
        "long": "/" + "a" * 5000,
        "root": "/",
        "proc": "/proc",
        "null-device": "/dev/null",
        "below-a-device": "/dev/null/out",
        "home": "~nosuchuser/out",
    },
    (1, 2),
    healthy=False,
)


@case(2, healthy=False)
def output_that_holds_the_input(scene: Scene) -> None:
    scene.arguments = [str(scene.bids), str(scene.place), "participant", "--model"]
    scene.arguments += [str(scene.model), "--no-reports"]


@case(2, healthy=False, says="in the model's folder")
def output_that_is_a_link_to_the_model(scene: Scene) -> None:
    scene.out.symlink_to(scene.model)


@case(1, says=r"run-1.*run-01|run-01.*run-1")
def runs_of_one_number(scene: Scene) -> None:
    """Of the two files of one run, none is taken in silence."""
    for run in ("1", "01"):
        for name in ("bold", "sidecar", "mask", "confounds"):
            path = scene[name]
            put(path.with_name(path.name.replace("_task-", f"_run-{run}_task-")), path.read_bytes())


@case(1, says=r"_bold\.nii and .*_bold\.nii\.gz|_bold\.nii\.gz and .*_bold\.nii")
def a_run_that_is_compressed_and_is_not(scene: Scene) -> None:
    path = scene["bold"]
    put(path.with_suffix(""), gzip.decompress(path.read_bytes()))


rows(
    "input",
    lambda scene, value: scene.__setattr__(
        "arguments", [value, str(scene.out), "participant", "--model", str(scene.model)]
    ),
    {
        "empty": "",
        "nul": "a\0b",
        "long": "/" + "a" * 5000,
        "root": "/",
        "proc": "/proc/self",
        "home": "~nosuchuser",
        "device": "/dev/zero",
        "control": "/nowhere/\x1b[31m\nbids_dtg: error: forged",
        "surrogate": "/nowhere/\udcff",
    },
    2,
    healthy=False,
)
rows(
    "words",
    lambda scene, words: scene.__setattr__("arguments", words),
    {
        "none": [],
        "help": ["--help"],
        "version": ["--version"],
        "many": ["x"] * 50_000,
        "level": ["in", "out", "\x1b[31m"],
        "empty": ["", "", ""],
        "dashes": ["--", "--", "--"],
        "long": ["-" + "v" * 100_000],
    },
    (0, 2),
    healthy=False,
)


# Names of participants: folders that anybody may have made.


def beside(name: bytes):
    """Return an attack that adds a participant with this name."""

    def attack(scene: Scene) -> None:
        shutil.copytree(scene.bids / "sub-01", scene.bids / os.fsdecode(name))

    return attack


rows(
    "participant",
    lambda scene, name: beside(name)(scene),
    {
        "dots": b"sub-..",
        "dot": b"sub-.",
        "none": b"sub-",
        "spaces": b"sub- 01 ",
        "newline": b"sub-0\nbids_dtg: error: forged",
        "escape": b"sub-\x1b]0;owned\x07",
        "c1": b"sub-\xc2\x9b31m",
        "not-utf8": b"sub-\xff\xfe",
        "right-to-left": "sub-\u202e10".encode(),
        "markup": b"sub-<script>alert(1)</script>".replace(b"/", b"\\"),
        "dash": b"sub--help",
        "under": b"sub-01_task-x",
        "percent": b"sub-%s%n%d{0}",
        "long": b"sub-" + b"x" * 240,
        "case": b"sub-AB",
        "tab": b"sub-a\tb",
        "bracket": b"sub-[red]x[/red]".replace(b"/", b""),
    },
)


def renamed(old: str, new: bytes):
    """Return an attack that renames the files of participant 01."""

    def attack(scene: Scene) -> None:
        for path in sorted(scene["bold"].parent.iterdir()):
            path.rename(path.with_name(path.name.replace(old, os.fsdecode(new))))

    return attack


rows(
    "name",
    lambda scene, new: renamed(*new)(scene),
    {
        "task-escape": ("task-rest", b"task-rest\x1b[31m"),
        "task-newline": ("task-rest", b"task-rest\nx"),
        "task-not-utf8": ("task-rest", b"task-rest\xff"),
        "run-digits": ("task-rest", b"task-rest_run-" + b"9" * 100),
        "run-word": ("task-rest", b"task-rest_run-x"),
        "run-negative": ("task-rest", b"task-rest_run--1"),
        "no-task": ("_task-rest", b""),
        "twice": ("task-rest", b"task-rest_task-rest"),
        "spaces": ("task-rest", b"task-rest "),
        "of-another": ("sub-01", b"sub-02"),
        "unknown-entity": ("task-rest", b"task-rest_foo-bar_baz"),
        "empty-entity": ("task-rest", b"task-"),
        "template": ("MNI152NLin6Asym", b"../MNI".replace(b"/", b"_")),
    },
)


@case((0, 1, 2), healthy=False)
def not_utf8_in_the_way_to_the_input(scene: Scene) -> None:
    place = scene.place / os.fsdecode(b"in\xff\xfe")
    scene.bids.rename(place)
    scene.arguments = [str(place), str(scene.out), "participant", "--no-reports"]
    scene.arguments += ["--model", str(scene.model), "--omp-nthreads", "1"]


@case((0, 1, 2), healthy=False)
def not_utf8_in_the_way_to_the_output(scene: Scene) -> None:
    scene.out.mkdir()
    place = str(scene.out / os.fsdecode(b"out\xff\xfe"))
    scene.arguments = [str(scene.bids), place, "participant", "--no-reports"]
    scene.arguments += ["--model", str(scene.model), "--omp-nthreads", "1"]


@case((0, 1, 2), healthy=False)
def escapes_in_the_way_to_the_input(scene: Scene) -> None:
    place = scene.place / "in\x1b]0;owned\x07\nbids_dtg: error: forged"
    scene.bids.rename(place)
    scene.arguments = [str(place), str(scene.out), "participant", "--no-reports"]
    scene.arguments += ["--model", str(scene.model), "--omp-nthreads", "1"]


def twins(scene: Scene) -> None:
    shutil.copytree(scene.bids / "sub-01", scene.bids / "sub-x1")
    shutil.copytree(scene.bids / "sub-01", scene.bids / "sub-X1")
    for label in ("x1", "X1"):
        folder = scene.bids / f"sub-{label}" / "func"
        for path in folder.iterdir():
            path.rename(folder / path.name.replace("sub-01", f"sub-{label}"))


add("participants-that-differ-by-case", twins, 2, says="upper and lower case")


def models(scene: Scene, words: list[str]) -> None:
    scene.program = "dtg-models"
    scene.arguments = [word.replace("TINY", str(scene.model)) for word in words]


rows(
    "models",
    models,
    {
        "none": [],
        "verify": ["verify", "TINY"],
        "info": ["info", "TINY"],
        "verify-empty": ["verify", ""],
        "verify-nul": ["verify", "a\0b"],
        "verify-long": ["verify", "m" * 5000],
        "verify-root": ["verify", "/"],
        "verify-device": ["verify", "/dev/zero"],
        "verify-path": ["verify", "../../.."],
        "info-escape": ["info", "\x1b[31m\nforged"],
        "info-surrogate": ["info", "x\udcff"],
        "remove-path": ["remove", "../../.."],
        "remove-root": ["remove", "/"],
        "remove-empty": ["remove", ""],
        "remove-unknown": ["remove", "nothing"],
        "fetch-unknown": ["fetch", "../x"],
        "fetch-offline": ["fetch", "hcp-ya"],
        "list": ["list"],
    },
    (0, 1, 2),
    healthy=False,
)
