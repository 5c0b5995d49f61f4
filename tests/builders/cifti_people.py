"""People in parcels of CIFTI: series, statistic maps and a model.

Files are written by nibabel alone. Their brain models are small: patches of both cortices, and
two structures below them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from fmriprep_dataset import describe_dataset
from maps_bundle import maps_card
from maps_job import TinyJob

from bids_dtg.cli.run import main as program
from bids_dtg.contrasts.bundle.bundle import BundleArrays, ModelBundle, write_bundle
from bids_dtg.contrasts.bundle.kinds import LINEAR
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.linear import LinearModel, tensors_of
from bids_dtg.imaging.surfaces.cifti import CORTEX, ParcelPlaces, standard_grayordinates

TR = 10.0
FRAMES = 60  # ten minutes
ROIS = 4
LABELS = tuple(f"{n:02d}" for n in range(1, 9))
CONTRASTS = ("emotionFaces", "emotionShapes")
STRUCTURES = ("CIFTI_STRUCTURE_AMYGDALA_LEFT", "CIFTI_STRUCTURE_AMYGDALA_RIGHT")


def brain_models(vertices: int = 60, voxels: int = 20):
    """Return nibabel's axis of patches of both cortices and of voxels of two structures."""
    standard = standard_grayordinates()
    structures = standard.name
    parts = [standard[structures == side][:vertices] for side in CORTEX]
    parts += [standard[structures == name][:voxels] for name in STRUCTURES if voxels]
    axis = parts[0]
    for part in parts[1:]:
        axis += part
    return axis


def save_series(path: Path, values: np.ndarray, axis, tr: float = TR) -> Path:
    """Write a series (frames, places)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    series = nib.cifti2.SeriesAxis(0, tr, len(values), "second")
    nib.save(nib.cifti2.Cifti2Image(values, (series, axis)), path)
    return path


def write_xcpd_parcels(
    folder: Path, series: np.ndarray, axis, label: str = "01"
) -> Path:
    """Write a folder of XCP-D with one run of Glasser parcels; frames of 0.8 s."""
    xcpd = describe_dataset(folder / "xcp_d", pipeline="XCP-D")
    name = f"sub-{label}_task-rest_space-fsLR_seg-Glasser_den-91k_stat-mean_timeseries"
    save_series(xcpd / f"sub-{label}/func/{name}.ptseries.nii", series, axis, 0.8)
    return xcpd


def save_maps(path: Path, values: np.ndarray, axis, names=("map",)) -> Path:
    """Write maps (maps, places)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scalars = nib.cifti2.ScalarAxis(list(names))
    image = nib.cifti2.Cifti2Image(np.asarray(values, np.float32), (scalars, axis))
    nib.save(image, path)
    return path


def with_header(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """Change the XML in the header of a file, whose values stay."""
    raw = nib.Nifti2Image.from_filename(path)
    (part,) = raw.header.extensions
    raw.header.extensions[:] = [nib.nifti1.Nifti1Extension(32, change(part.content))]
    values = np.asarray(raw.dataobj).copy()
    nib.save(nib.Nifti2Image(values, None, raw.header), path)
    return path


def tiny_series(places: int, frames: int = FRAMES, seed: int = 0) -> np.ndarray:
    """Make a series (frames, places) float32: a mean, networks of one's own, and noise."""
    rng, common = np.random.default_rng(seed), np.random.default_rng(99)
    networks = common.normal(size=(ROIS, places))
    networks += 0.5 * rng.normal(size=networks.shape)
    courses = rng.normal(size=(frames, ROIS))
    series = 1000 + 30 * courses @ networks + 20 * rng.normal(size=(frames, places))
    return series.astype(np.float32)


def write_parcel_bundle(folder: Path, **facts) -> ModelBundle:
    """Write a linear model of parcels whose weights are made by chance."""
    places, rng = ParcelPlaces.of_axis(parcels_axis()), np.random.default_rng(4)
    roi_maps = rng.normal(size=(ROIS, places.number)).astype(np.float32)
    mean = np.zeros_like(roi_maps)
    values = rng.normal(size=(2, ROIS)).astype(np.float32)
    tensors = tensors_of(LinearModel((ROIS,), mean, mean + 1, values))
    fields = {
        "name": "tinyparcels",
        "version": "0",
        "kind": LINEAR.name,
        "places": places.number,
        "atlas": "Tiny",
        "contrasts": hcp_contrasts()[:2],
        "for_science": False,
        "notice": "random weights, for tests",
    }
    card = maps_card(**(fields | facts))
    return write_bundle(folder, card, BundleArrays(tensors, roi_maps, places, places))


def tiny_maps(labels=LABELS, places: int = 160) -> dict[str, np.ndarray]:
    """Make maps (contrasts, places) of each person: from networks of one's own, as the series."""
    common = np.random.default_rng(99).normal(size=(ROIS, places))
    weights = np.random.default_rng(7).normal(size=(len(CONTRASTS), ROIS))
    maps_of = {}
    for number, label in enumerate(labels):
        rng = np.random.default_rng(number)
        networks = common + 0.5 * rng.normal(size=(ROIS, places))
        maps_of[label] = (1.0 + weights @ networks).astype(np.float32)
    return maps_of


def parcels_axis(count: int = 12):
    """Return nibabel's axis of parcels: of vertices of both cortices, and of voxels."""
    models = brain_models()
    parts = np.array_split(np.arange(120), count - 1)
    named = [(f"P{number:02d}", models[rows]) for number, rows in enumerate(parts)]
    return nib.cifti2.ParcelsAxis.from_brain_models(
        [*named, ("AMYGDALA", models[120:140])]
    )


def paired_axis(pairs: int = 20):
    """Return nibabel's axis of parcels that are called alike in both hemispheres."""
    models = brain_models(voxels=0)
    named = []
    for side, rows in zip("LR", np.split(np.arange(120), 2), strict=True):
        for number, part in enumerate(np.array_split(rows, pairs)):
            named.append((f"{side}_{number:02d}", models[part]))
    return nib.cifti2.ParcelsAxis.from_brain_models(named)


class ParcelCohort(TinyJob):
    """People of a study in parcels: series as XCP-D names them, and maps of a task."""

    level = "participant"
    SEG = "space-fsLR_seg-Tiny_den-91k"

    def __init__(
        self, folder: Path, labels: tuple[str, ...] = LABELS, axis=None
    ) -> None:
        self.folder, self.labels = folder, labels
        self.bids = describe_dataset(folder / "xcp_d", pipeline="XCP-D")
        self.out, self.statmaps = folder / "out", folder / "statmaps"
        self.axis = parcels_axis() if axis is None else axis
        for seed, label in enumerate(labels):
            self.add(label, seed)
        for label, maps in tiny_maps(labels, len(self.axis)).items():
            for contrast, values in zip(CONTRASTS, maps, strict=True):
                name = f"sub-{label}_space-fsLR_seg-Tiny_contrast-{contrast}_stat-z_statmap"
                path = self.statmaps / f"sub-{label}" / f"{name}.pscalar.nii"
                save_maps(path, values[None], self.axis)

    def add(self, label: str, seed: int, axis=None, seg: str = SEG) -> Path:
        """Add a series of parcels."""
        axis = self.axis if axis is None else axis
        name = f"sub-{label}_task-rest_{seg}_stat-mean_timeseries"
        path = self.bids / f"sub-{label}/func" / f"{name}.ptseries.nii"
        save_series(path, tiny_series(len(axis), seed=seed), axis)
        path.with_name(f"{name}.json").write_text(json.dumps({"RepetitionTime": TR}))
        return path

    def analyse(self, analysis: str, *options: object, out: Path | None = None) -> int:
        words = [
            "-d",
            f"statmaps={self.statmaps}",
            "--analysis",
            analysis,
            *map(str, options),
        ]
        call_words = [self.bids, out or self.out, "group", *words, "--omp-nthreads", 1]
        return program([str(word) for word in call_words])
