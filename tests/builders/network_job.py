"""A small job of `--workflow dynamics`: runs, an atlas, structural connectomes, and a model."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from fmriprep_dataset import describe_dataset
from maps_bundle import TINY_AFFINE, TINY_SHAPE
from maps_job import TinyJob, add_rest

from bids_dtg.bundles.training_hashes import TrainingHashes

TR, FRAMES = 5.0, 100
REGIONS = ("LH_Vis", "LH_Cont", "LH_Default", "RH_Vis", "RH_Cont", "RH_Default")
KEY = "Slabs"


def network_bold(seed: int, frames: int = FRAMES) -> np.ndarray:
    """Make BOLD (i, j, k, frames) int16 whose parcels, slabs along j, have courses of their own."""
    rng = np.random.default_rng(seed)
    courses = rng.normal(size=(len(REGIONS), frames))
    courses[:, 1:] += 0.6 * courses[:, :-1]
    noise = 5 * rng.normal(size=(*TINY_SHAPE, frames))
    return (1000 + 30 * courses[slabs() - 1] + noise).round().astype(np.int16)


def slabs() -> np.ndarray:
    """Return the label of each voxel, (i, j, k): two sheets along j are a parcel."""
    labels = np.arange(TINY_SHAPE[1]) // 2 + 1
    return np.broadcast_to(labels[:, None], TINY_SHAPE).astype(np.int16)


class NetworkJob(TinyJob):
    """A dataset, an atlas, structural connectomes and an output folder below one folder."""

    workflow = "dynamics"

    def __init__(
        self, folder: Path, participants: tuple[str, ...] = ("01", "02")
    ) -> None:
        self.folder, self.out = folder, folder / "out"
        self.bids = describe_dataset(folder / "fmriprep")
        self.structural = folder / "qsirecon"
        self.atlas = folder / f"atlas-{KEY}_space-MNI152NLin6Asym_dseg.nii.gz"
        nib.save(nib.Nifti1Image(slabs(), TINY_AFFINE), self.atlas)
        rows = [f"{number}\t{name}" for number, name in enumerate(REGIONS, 1)]
        table = self.atlas.with_name(self.atlas.name.replace(".nii.gz", ".tsv"))
        table.write_text("\n".join(["index\tname", *rows]) + "\n")
        for number, participant in enumerate(participants):
            self.add_run(participant, seed=number)
            self.add_structural(participant, weights(number))

    def add_run(self, participant: str, *, seed: int = 0, **options: object) -> Path:
        """Add a run; `options` as in `add_rest`."""
        defaults = {"bold": network_bold(seed), "frames": FRAMES, "tr": TR}
        return add_rest(self.bids, participant, **(defaults | options))

    def add_structural(self, participant: str, values: np.ndarray) -> Path:
        """Write a participant's structural connectome."""
        path = self.structural / f"sub-{participant}/dwi/sub-{participant}_relmat.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            "\t".join(REGIONS),
            *("\t".join(map(str, row)) for row in values.tolist()),
        ]
        path.write_text("\n".join(lines) + "\n")
        return path

    @property
    def read(self) -> Path:
        """What is given as BIDS_DIR."""
        return self.bids

    def arguments(self, *options: object, out: Path | None = None) -> list[str]:
        words = [
            self.read,
            out or self.out,
            "participant",
            "--workflow",
            self.workflow,
            *options,
        ]
        words += [] if "--atlases" in options else ["--atlases", self.atlas]
        words += ["--omp-nthreads", "1", *([] if self.reports else ["--no-reports"])]
        return [str(word) for word in words]


def weights(seed: int = 0) -> np.ndarray:
    """Return a structural connectome (regions, regions) as counted."""
    values = np.random.default_rng(seed).integers(1, 100, (len(REGIONS),) * 2)
    symmetric = values + values.T
    np.fill_diagonal(symmetric, 0)
    return symmetric


def write_core(
    folder: Path,
    listed: TrainingHashes | None = None,
    *,
    tr: float = TR,
    **facts: object,
) -> Path:
    """Write the bundle of a linear core of six people's parcels; `facts` for its card."""
    from linear_core_bundle import write_tiny_linear

    series = [
        network_bold(seed)[:, ::2][0, :, 0].astype(float) for seed in range(10, 16)
    ]
    defaults = {"name": "core", "regions": REGIONS, "frames": FRAMES, "tr_seconds": tr}
    return write_tiny_linear(folder, listed, series, **(defaults | facts)).path
