"""Many people's results as the participant level leaves them, with values of a test's own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from fmriprep_dataset import describe_dataset
from maps_bundle import TINY_AFFINE, TINY_SHAPE, write_tiny_bundle
from maps_job import FRAMES, TinyJob, add_rest

MODEL = "01"  # who goes through the participant level
PARCELS = 12


class WrittenCohort(TinyJob):
    """An output folder of people whose maps and edges are what a test says.

    One person goes through the participant level. What others have are copies of that person's
    files, with their label and their values.
    """

    def __init__(self, folder: Path, rois: int) -> None:
        self.folder = folder
        self.bids = describe_dataset(folder / "fmriprep")
        self.model, self.out = folder / "tiny", folder / "out"
        self.atlas = folder / "atlas-Slabs_space-MNI152NLin6Asym_dseg.nii.gz"
        self.bundle = write_tiny_bundle(self.model, rois=rois)
        bold = np.random.default_rng(0).normal(1000, 30, (*TINY_SHAPE, FRAMES))
        add_rest(self.bids, MODEL, bold=bold.round().astype(np.int16))
        slabs = np.arange(TINY_SHAPE[2]) * PARCELS // TINY_SHAPE[2] + 1
        image = np.where(self.bundle.places.mask, slabs, 0).astype(np.int16)
        nib.save(nib.Nifti1Image(image, TINY_AFFINE), self.atlas)
        self.parcels = image[self.bundle.places.mask]  # (places,), the parcel of each

    @property
    def places(self) -> int:
        """How many values a map has."""
        return self.bundle.places.number

    def write(
        self,
        maps: np.ndarray,
        edges: np.ndarray,
        table: Mapping[str, Sequence[object]],
        fd_mean: Sequence[float] | None = None,
    ) -> tuple[str, ...]:
        """Write everybody's results, and participants.tsv of the input; return the labels.

        `maps` is (people, contrasts, places), `edges` (people, rois, rois).
        """
        assert self.run() == 0
        labels = tuple(f"P{number:03d}" for number in range(len(maps)))
        for number, label in enumerate(labels):
            metrics = {} if fd_mean is None else {"fd_mean": f"{fd_mean[number]:.6f}"}
            self._copy(label, maps[number], edges[number], metrics)
        shutil.rmtree(self.out / f"sub-{MODEL}")
        for path in self.out.glob(f"logs/complete/*sub-{MODEL}*"):
            path.unlink()
        self.write_table(labels, table)
        return labels

    def write_table(
        self, labels: Sequence[str], table: Mapping[str, Sequence[object]]
    ) -> Path:
        """Write participants.tsv of the input."""
        path = self.bids / "participants.tsv"
        lines = ["\t".join(("participant_id", *table))]
        for label, *cells in zip(labels, *table.values(), strict=True):
            lines.append("\t".join((f"sub-{label}", *map(str, cells))))
        path.write_text("\n".join(lines) + "\n")
        for label in labels:
            (self.bids / f"sub-{label}").mkdir(exist_ok=True)
        return path

    def write_measured(
        self, folder: Path, contrast: int, maps: Mapping[str, np.ndarray]
    ) -> Path:
        """Write measured maps of a contrast by number; `maps` is (places,) by label."""
        for label, values in maps.items():
            person, name = f"sub-{label}", self.bundle.contrasts[contrast].label
            path = folder / person / f"{person}_contrast-{name}_stat-z_statmap.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.bundle.places.encode(values.astype(np.float32)))
        return folder

    def analyse(self, analysis: str, *options: object, out: Path | None = None) -> int:
        """Call an analysis of the group level, by the parcels of `atlas`."""
        by_atlas = ("--atlases", self.atlas)
        if {"--atlases", "--voxels"} & {*options}:
            by_atlas = ()
        words = [word for word in self.arguments(out=out) if word != "--no-reports"]
        words[2:5] = ["group", "--analysis", analysis]
        from bids_dtg.cli.run import main

        return main([*words, *map(str, (*by_atlas, *options))])

    def _copy(
        self,
        label: str,
        maps: np.ndarray,
        edges: np.ndarray,
        metrics: Mapping[str, str],
    ) -> None:
        contrasts = [contrast.label for contrast in self.bundle.contrasts]
        by_label = dict(zip(contrasts, maps, strict=True))
        records = self.out.glob(f"logs/complete/*sub-{MODEL}*")
        for source in [*(self.out / f"sub-{MODEL}").rglob("*"), *records]:
            if not source.is_file():
                continue
            name = str(source.relative_to(self.out))
            path = self.out / name.replace(f"sub-{MODEL}", f"sub-{label}")
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.name.endswith("_desc-synthetic_statmap.nii.gz"):
                values = by_label[path.name.split("contrast-")[1].split("_")[0]]
                path.write_bytes(self.bundle.places.encode(values.astype(np.float32)))
            elif path.name.endswith("_relmat.tsv"):
                header = source.read_text().splitlines()[0]
                rows = ["\t".join(f"{value:.6f}" for value in row) for row in edges]
                path.write_text("\n".join([header, *rows]) + "\n")
            elif path.suffix in (".tsv", ".json"):
                text = _with_cells(source, metrics)
                path.write_text(text.replace(f"sub-{MODEL}", f"sub-{label}"))
            else:
                path.write_bytes(source.read_bytes())


def _with_cells(source: Path, cells: Mapping[str, str]) -> str:
    """Return a quality table with other cells; any other text as it is."""
    text = source.read_text()
    if not cells or not source.name.endswith("_qc.tsv"):
        return text
    header, row = (line.split("\t") for line in text.splitlines())
    changed = [cells.get(name, cell) for name, cell in zip(header, row, strict=True)]
    return "\t".join(header) + "\n" + "\t".join(changed) + "\n"
