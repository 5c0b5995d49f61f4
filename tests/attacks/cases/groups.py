"""Attacks on what the group level reads of people: their maps, tables, events and surfaces."""

from __future__ import annotations

import resource

import nibabel as nib
import numpy as np
import tiny_networks
import tiny_twins
from attacks.cases.case import case, rows
from attacks.fixtures import OF_AGE, people_table
from attacks.scene import Scene, put

MATH, STORY = "languageMath", "languageStory"
SECONDS = 12


def analyse(scene: Scene, analysis: str, *more: str) -> None:
    """Have predicted maps of the cohort analysed."""
    scene.level = "group"
    scene.options += ["--analysis", analysis, *more]


def stats(scene: Scene, *more: str) -> None:
    words = ("--feature-sets", "maps", "--permutations", "9", "--voxels")
    analyse(scene, "stats", *words, *(more or ("--contrast", MATH)))


# Tables of people.


def covariate(scene: Scene, cell: str) -> None:
    # Of few values, so that a factor of words would have people enough.
    ages = {f"sub0{number}": f"{20 + number % 3}" for number in range(1, 8)}
    people_table(scene.bids, **ages, sub08=cell)
    stats(scene, "--contrast", MATH, "--phenotype", "age")


rows(
    "age",
    covariate,
    {
        "unknown": "unknown",
        "null": "NULL",
        "letter-in-number": "1O",
        "infinite": "inf",
        "with-a-comma": "1,5",
        "with-an-underscore": "1_0",
        "in-other-digits": "٣",
    },
    2,
    fixture="predicted",
    healthy=False,
    says="age has '.+' of sub-08",
)


@case(2, fixture="predicted", healthy=False, says="has participant 1, and the data have sub-01")
def labels_without_their_zeros(scene: Scene) -> None:
    path = scene.bids / "participants.tsv"
    put(path, path.read_text().replace("sub-0", ""))
    analyse(scene, "stats", *OF_AGE)


@case(0, fixture="predicted", healthy=False, says="kept, as they are not of this analysis")
def own_files_in_a_result_folder(scene: Scene) -> None:
    folder = scene.out / "group" / "stats" / "mine"
    put(folder / "my_notes.txt", "of mine")
    put(folder / "figure.png", b"\x89PNG")
    scene.kept = [folder]
    analyse(scene, "stats", *OF_AGE)


# Maps that cannot be right.


def on_maps(scene: Scene, change) -> None:
    pattern, edit = change
    for path in sorted(scene.out.glob(f"{pattern}_*desc-synthetic_statmap.nii.gz")):
        loaded = nib.load(path)
        values, affine = edit(loaded.get_fdata(dtype=np.float32), loaded.affine.copy())
        image = nib.Nifti1Image(values.astype(np.float32), affine)
        put(path, b"")
        image.to_filename(path)
    stats(scene, *(() if MATH in pattern else ("--contrast", MATH, STORY)))


ONE = f"sub-03/**/*contrast-{MATH}"


def equal(values: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    own = np.sin(np.arange(values.size, dtype=np.float32)).reshape(values.shape)
    return np.where(values, own, 0), affine


for name, (change, says) in {
    "zeros": ((ONE, lambda v, a: (0 * v, a)), "the map cannot be used: 100%"),
    "times-1e30": ((ONE, lambda v, a: (1e30 * v, a)), "no statistic or effect is so large"),
    "shifted-by-4-mm": (
        (ONE, lambda v, a: (v, a + 4 * np.eye(4, k=3))),
        "has another affine than the first map",
    ),
    "of-one-person-for-three": (
        (
            f"sub-0[123]/**/*contrast-{MATH}",
            equal,
        ),
        "sub-01, sub-02, sub-03 have one and the same map",
    ),
    "of-a-contrast-nan": (
        (f"sub-*/**/*contrast-{STORY}", lambda v, a: (v * np.nan, a)),
        f"{STORY}: the contrast is left out",
    ),
}.items():
    rows(
        "maps",
        on_maps,
        {name: change},
        (0, 1),
        fixture="predicted",
        healthy=False,
        says=says,
        seconds=SECONDS,
    )


# Events of tasks, and surfaces.


def events(scene: Scene, cell: str) -> None:
    path = tiny_twins.events_of(scene.place, tiny_twins.SEEN[0])
    lines = path.read_text().splitlines()
    lines[3] = "\t".join([cell, *lines[3].split("\t")[1:]])
    put(path, "\n".join([*lines, ""]))
    scene.level = "group"
    words = (*tiny_twins.TRAIN, "--dry-run")
    scene.arguments = tiny_twins.arguments(scene.place, scene.out, "train", *words)


rows(
    "onset",
    events,
    {"with-an-underscore": "1_0", "in-other-digits": "٣"},
    0,
    fixture="twins",
    healthy=False,
    says="left out: 1 run of 1 participant .* under onset in line 4",
)


def surface(scene: Scene, change) -> None:
    (path,) = (scene.bids / "sub-01" / "anat").glob("*hemi-L*midthickness.surf.gii")
    image = nib.load(path)
    points, faces = (array.data.copy() for array in image.darrays)
    change(points, faces)
    from person_surfaces import write_surface

    path.unlink()
    write_surface(path, points, faces)
    scene.options += ["--surfaces", "fsLR"]


rows(
    "surface",
    surface,
    {
        "triangle-out-of-range": lambda points, faces: faces.__setitem__((7, 0), len(points)),
        "point-nan": lambda points, faces: points.__setitem__((7, 0), np.nan),
    },
    1,
    fixture="surfaces",
    says="triangles of the points|three finite coordinates",
    healthy=False,
)


# Disks that are full while a model is used.


@case(1, fixture="networks", healthy=False, says="simulated_series.npz cannot be written: File too")
def simulations_larger_than_a_file_may_be(scene: Scene) -> None:
    scene.limits[resource.RLIMIT_FSIZE] = 5 * 2**20  # above what is tried of the temporary folder
    words = ("--model", str(scene.out / "group/model-own/bundle"), "--simulations", "500")
    scene.level = "group"
    scene.arguments = tiny_networks.arguments(
        scene.place / "networks", scene.out, "simulate", *words
    )
