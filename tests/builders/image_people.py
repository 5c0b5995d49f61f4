"""Random people as images, whose maps follow from their rest, and analyses of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from fmriprep_dataset import add_run, describe_dataset
from maps_bundle import TINY_AFFINE, TINY_SHAPE, write_tiny_bundle
from maps_job import TR, warm_up

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

PEOPLE, FRAMES = 12, 100
LABELS = tuple(f"0{n:02d}" for n in range(PEOPLE))
CONTRASTS = ("left hand", "LANGUAGE:math")
_BOX = (slice(2, 8), slice(3, 9), slice(4, 6))  # where the voxels of these people lie


def places() -> VoxelPlaces:
    """Return the voxels of everybody's rest and maps."""
    mask = np.zeros(TINY_SHAPE, bool)
    mask[_BOX] = True
    return VoxelPlaces.within(Grid(TINY_SHAPE, TINY_AFFINE), mask)


def people(seed: int = 0, number: int = PEOPLE) -> dict[str, np.ndarray]:
    """Make people whose maps follow from where four networks lie in them."""
    rng, common = np.random.default_rng(seed), np.random.default_rng(99)
    voxels = places().number
    group = common.normal(size=(4, voxels))
    weights = common.normal(size=(len(CONTRASTS), 4))
    networks = group + 0.5 * rng.normal(size=(number, 4, voxels))
    courses = rng.normal(size=(number, 4, FRAMES))
    rest = np.einsum("nrp,nrt->npt", networks, courses)
    rest += rng.normal(size=rest.shape)
    targets = np.einsum("cr,nrp->ncp", weights, networks)
    targets += 0.3 * rng.normal(size=targets.shape)
    return {
        "people": np.array([f"{seed}{n:02d}" for n in range(number)]),
        "rest": rest.astype(np.float32),
        "targets": targets.astype(np.float32),
        "contrasts": np.array(CONTRASTS),
    }


def write(folder: Path, **arrays: np.ndarray) -> Path:
    """Write people as a dataset, their maps, and a model that has their voxels; return the folder.

    `families` is written into participants.tsv.
    """
    where = places()
    (folder / "bids").mkdir(parents=True)
    bids = describe_dataset(folder / "bids")
    about = json.loads((bids / "dataset_description.json").read_text())
    (bids / "dataset_description.json").write_text(
        json.dumps({**about, "Name": "study"})
    )
    for label, rest, maps in zip(
        arrays["people"], arrays["rest"], arrays["targets"], strict=True
    ):
        bold = np.zeros((*TINY_SHAPE, rest.shape[1]), np.float32)
        bold[where.mask] = 1000 * (1 + np.abs(rest).max()) + rest
        add_run(bids, str(label), bold=bold, affine=TINY_AFFINE, tr=TR, mask=where.mask)
        for contrast, values in zip(arrays["contrasts"], maps, strict=True):
            name = "".join(filter(str.isalnum, contrast))
            file = f"sub-{label}_contrast-{name}_stat-z_statmap.nii.gz"
            path = folder / f"maps/sub-{label}" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(where.encode(values))
    if "families" in arrays:
        rows = zip(arrays["people"], arrays["families"], strict=True)
        lines = "".join(f"sub-{label}\t{family}\n" for label, family in rows)
        (bids / "participants.tsv").write_text(f"participant_id\tfamily_id\n{lines}")
    write_tiny_bundle(folder / "base", masks=(where.mask, where.mask))
    return folder


def arguments(data: Path, out: Path, analysis: str, *words: object) -> list[str]:
    """Return the words of a call of an analysis; without --model, on the voxels of the people."""
    call_words = [data / "bids", out, "group", "-d", f"fmriprep={data / 'bids'}"]
    call_words += [
        "-d",
        f"statmaps={data / 'maps'}",
        "--analysis",
        analysis,
        "--omp-nthreads",
        1,
    ]
    call_words += ["--denoise-strategy", "none", *words]
    if "--model" not in words:
        call_words += ["--model", data / "base"]
    return [str(word) for word in call_words]


def call(data: Path, analysis: str, *words: object, out: Path | None = None) -> int:
    """Run an analysis on people that `write` has written."""
    from bids_dtg.cli.run import main

    warm_up()
    return main(arguments(data, data / "out" if out is None else out, analysis, *words))
