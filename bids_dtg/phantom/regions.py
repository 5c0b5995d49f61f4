"""Simulated people with regional series: parcels, resting runs, and their datasets."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from bids_dtg.array_types import Float32, Float64, Indices, Mask
from bids_dtg.files.atomic import atomic_file, write_atomic
from bids_dtg.files.names import build_name
from bids_dtg.files.text import write_json, write_text, write_tsv
from bids_dtg.imaging.nifti import encode_integers
from bids_dtg.notices import say
from bids_dtg.phantom.anatomy import Anatomy, SmoothField
from bids_dtg.phantom.run import (
    DESCRIP,
    WARNING,
    BoldRun,
    correlated,
    describe_dataset,
    draw_motion,
    draw_nuisance,
    persistence_of,
    simulation_facts,
    write_series,
)
from bids_dtg.phantom.streams import Purpose, stream

_RADII_MM = np.array([62.0, 82.0, 58.0])  # of the ellipsoid on which regions lie
_LEAST_X_MM = 6.0  # smallest distance from the midline
# sd in units of the regions' series; a parcel's mean has far less noise.
_VOXEL_NOISE = 0.4
_NOISE_FWHM_MM = 7.0
_NUISANCE_FWHM_MM = 16.0
_MOTION_SIGNAL = 1.0  # sd of the motion signal that all voxels share, in the same units
# Limits of a run's frames and repetition time.
_FRAMES = (100, 2000)
_SECONDS = (0.5, 3.0)
ATLAS = "SimulatedRegions"  # value of the entity atlas-
BLOCK = 2  # voxels of 4 mm, so that files are an eighth of the size of 2 mm ones
TRUTH = "truth"  # folder of the true values, which are unknown for real people
_RAW = "bids"  # folder of a raw dataset
# Datasets of every phantom, by their folders.
CONTENTS = {
    "fmriprep": "resting-state BOLD, as fMRIPrep leaves it",
    "atlas": "the simulated regions, as a label image",
}


def region_names(regions: int) -> tuple[str, ...]:
    """Return names of regions in two hemispheres.

    Raises
    ------
    ValueError
        The number of regions is odd, or smaller than 4.

    Examples
    --------
    >>> region_names(4)
    ('lh-r01', 'lh-r02', 'rh-r01', 'rh-r02')
    """
    if regions % 2 or regions < 4:
        raise ValueError(
            f"two hemispheres need an even number of regions from 4, not {regions}"
        )
    numbers = [f"r{number:02d}" for number in range(1, regions // 2 + 1)]
    return tuple(f"{side}-{number}" for side in ("lh", "rh") for number in numbers)


def draw_positions(hemisphere: int, rng: np.random.Generator) -> Float64:
    """Draw positions on the left half of an ellipsoid, and mirror them.

    Parameters
    ----------
    hemisphere
        Number of regions per hemisphere.
    rng
        Random generator of the phantom; the same state draws the same positions.

    Returns
    -------
    numpy.ndarray
        (regions, 3), in mm from the centre of the brain, x from left to right; first the left
        hemisphere, then the right one.

    Examples
    --------
    >>> left, right = draw_positions(1, np.random.default_rng(0))
    >>> bool(left[0] < 0), float((left + right)[0])
    (True, 0.0)
    """
    direction = rng.standard_normal((hemisphere, 3))
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    left_positions = _RADII_MM * direction / length
    distance_to_midline = np.abs(left_positions[:, 0])
    left_positions[:, 0] = -np.maximum(distance_to_midline, _LEAST_X_MM)
    return np.concatenate([left_positions, left_positions * [-1.0, 1.0, 1.0]])


@dataclass(frozen=True, eq=False)
class Parcels:
    """The region of each grey-matter voxel."""

    anatomy: Anatomy
    names: tuple[str, ...]  # of the regions
    region_of_voxel: Indices  # (grey voxels,), number of the region

    @classmethod
    def around(
        cls, positions: Float64, names: Sequence[str], anatomy: Anatomy
    ) -> Parcels:
        """Assign each grey-matter voxel to the nearest region of its hemisphere.

        Parameters
        ----------
        positions
            (regions, 3), in mm from the centre of the brain, x from left to right.
        names
            Name of each row of `positions`.
        anatomy
            Simulated anatomy with the voxels.

        Raises
        ------
        ValueError
            A region gets no voxel.

        Examples
        --------
        >>> from bids_dtg.phantom.anatomy import load_anatomy
        >>> places = np.array([[-40.0, 0, 0], [-40, 40, 0], [40, 0, 0], [40, 40, 0]])
        >>> parcels = Parcels.around(places, ["a", "b", "c", "d"], load_anatomy(4))
        >>> parcels.maps.shape[0], bool((parcels.maps.sum(axis=0) == 1).all())
        (4, True)
        """
        points = anatomy.places.points
        # The midline is where x is 0; along y and z, the grey matter's centre is elsewhere.
        centred = points - points.mean(axis=0) * [0.0, 1.0, 1.0]
        distance = np.linalg.norm(centred[:, None] - positions, axis=-1)
        across_midline = (centred[:, :1] < 0) != (positions[:, 0] < 0)
        distance[across_midline] = np.inf
        nearest = distance.argmin(axis=1)
        empty = sorted(set(range(len(names))) - set(nearest.tolist()))
        if empty:
            empty_names = ", ".join(names[region] for region in empty)
            raise ValueError(f"no voxel is nearest to {empty_names}")
        return cls(anatomy, tuple(names), nearest)

    @property
    def maps(self) -> Float32:
        """Whether a voxel belongs to a region, (regions, grey voxels), 1 or 0."""
        regions = np.arange(len(self.names))
        belongs: Mask = self.region_of_voxel == regions[:, None]
        return belongs.astype(np.float32)

    def write(self, root: Path) -> Path:
        """Write the files of the atlas in a BIDS dataset, and return the path of its image.

        Parameters
        ----------
        root
            Root folder of the dataset; its ``dataset_description.json`` is not written.
        """
        grid = self.anatomy.grid
        # Regions from 1, 0 outside the grey matter.
        labels = np.zeros(grid.shape, np.int16)
        labels[self.anatomy.grey] = self.region_of_voxel + 1
        entities = {"tpl": grid.space, "atlas": ATLAS, "res": grid.resolution}
        folder = root / f"tpl-{grid.space}"
        image = folder / build_name(entities, "dseg", ".nii.gz")
        write_atomic(image, encode_integers(labels, grid, description=DESCRIP))
        table = folder / build_name(entities, "dseg", ".tsv")
        write_tsv(table, ["index", "name"], list(enumerate(self.names, start=1)))
        content = {
            "SpatialReference": grid.space,
            "Resolution": f"{grid.resolution} mm",
            **simulation_facts(),
        }
        write_json(folder / build_name(entities, "dseg", ".json"), content)
        return image


def draw_region_run(
    parcels: Parcels,
    series: Float32,
    rng: np.random.Generator,
    *,
    repetition_time_s: float,
) -> BoldRun:
    """Draw a run with the regions' series in their parcels, noise and nuisance.

    The columns of the confounds table explain all effects of motion.

    Parameters
    ----------
    parcels
        The region of each voxel.
    series
        (frames, regions), with a variance of about 1.
    rng
        Random generator for motion, noise and nuisance.
    repetition_time_s
        Time between frames, in seconds.

    Examples
    --------
    >>> from bids_dtg.phantom.anatomy import load_anatomy
    >>> sides = Parcels.around(np.array([[-40.0, 0, 0], [40, 0, 0]]), "lr", load_anatomy(4))
    >>> series, rng = np.zeros((50, 2), np.float32), np.random.default_rng(0)
    >>> draw_region_run(sides, series, rng, repetition_time_s=1.5).frames
    50
    """
    anatomy = parcels.anatomy
    frames = len(series)
    persistence = persistence_of(repetition_time_s)
    noise_field = SmoothField.on(anatomy.grid, _NOISE_FWHM_MM)
    noise = noise_field.noise(rng, frames)
    noise *= np.float32(_VOXEL_NOISE)
    motion = draw_motion(rng, frames)
    # All voxels share a random mixture of the motion parameters.
    parameters, _ = motion
    centred = parameters - parameters.mean(axis=0)
    mixture = rng.standard_normal(centred.shape[1])
    shared = (centred / centred.std(axis=0)) @ mixture
    nuisance_field = SmoothField.on(anatomy.grid, _NUISANCE_FWHM_MM)
    nuisance_maps, nuisance = draw_nuisance(
        anatomy, nuisance_field, motion, persistence, rng, jerk=0.0
    )
    return BoldRun(
        repetition_time_s=repetition_time_s,
        motion=parameters,
        anatomy=anatomy,
        field=noise_field,
        network_maps=parcels.maps,
        series=series,
        shared=np.asarray(_MOTION_SIGNAL * shared / shared.std(), np.float32),
        noise=correlated(noise, persistence),
        nuisance_maps=nuisance_maps,
        nuisance=nuisance,
    )


@dataclass(frozen=True)
class RegionPlan:
    """The number of simulated people, and the length of their runs.

    Raises
    ------
    ValueError
        There are too few or too many frames, or the repetition time is too short or too long.
    """

    people: int = 3
    regions: int = 20  # in two hemispheres
    frames: int = 300
    repetition_time_s: float = 1.5  # seconds per frame
    seed: int = 0

    def __post_init__(self) -> None:
        fewest, most = _FRAMES
        shortest, longest = _SECONDS
        seconds = self.repetition_time_s
        if not (fewest <= self.frames <= most and shortest <= seconds <= longest):
            raise ValueError(
                f"a run has {fewest} to {most} frames of {shortest:g} to {longest:g} s, not "
                f"{self.frames} of {seconds:g} s"
            )

    def recipe(self) -> dict[str, Any]:
        """Return the plan for the descriptions of datasets."""
        return {
            "Seed": self.seed,
            "People": self.people,
            "Regions": self.regions,
            "Frames": self.frames,
            "RepetitionTime": self.repetition_time_s,
        }


@dataclass(frozen=True, eq=False)
class RegionPhantom(ABC):
    """People with regional series, and the positions of these regions in the brain."""

    plan: RegionPlan
    parcels: Parcels
    labels: Sequence[str]  # of the people

    image: ClassVar[Purpose]  # of the stream of motion, noise and nuisance
    title: ClassVar[str]  # what is simulated, plural
    model: ClassVar[str]  # how series or people are simulated, in words
    facts: ClassVar[Mapping[str, Any]] = MappingProxyType({})  # of the simulation
    contents: ClassVar[Mapping[str, str]]  # further datasets, by their folders
    # Patterns of files that the validator does not know, one per line.
    ignored: ClassVar[str]
    truth: ClassVar[str]  # content of the folder `TRUTH`, in words

    @classmethod
    @abstractmethod
    def of(cls, plan: RegionPlan, *, block: int = BLOCK) -> RegionPhantom:
        """Simulate people; the same plan gives the same people.

        Parameters
        ----------
        plan
            Number of people and length of runs.
        block
            Edge length of a voxel, in multiples of 2 mm.

        Raises
        ------
        ValueError
            Regions do not come in pairs, or are too few, or too many for the voxels.
        """

    @abstractmethod
    def draw_rest(self, person: int) -> Float32:
        """Return the series of a person's resting run, (frames, regions)."""

    def draw_run(self, person: int) -> BoldRun:
        """Draw a person's resting run, see `draw_region_run`."""
        rng = stream(self.plan.seed, self.image, person=person)
        seconds = self.plan.repetition_time_s
        series = self.draw_rest(person)
        return draw_region_run(self.parcels, series, rng, repetition_time_s=seconds)

    @abstractmethod
    def write_further_datasets(self, out: Path) -> None:
        """Write the files of the further datasets and the truth, without their descriptions."""

    @classmethod
    def run(cls, arguments: argparse.Namespace) -> None:
        """Write the datasets of simulated people that ``dtg-phantom`` asks for."""
        plan = RegionPlan(
            people=arguments.participants,
            frames=arguments.frames,
            repetition_time_s=arguments.repetition_time,
            seed=arguments.seed,
        )
        cls.of(plan).write(arguments.out, program="dtg-phantom")

    def write(self, out: Path, *, program: str) -> Path:
        """Write all datasets; the same phantom gives the same bytes.

        Parameters
        ----------
        out
            Folder for ``fmriprep``, ``atlas``, the datasets of `contents`, and ``truth``.
        program
            Name of the command that writes them.

        Returns
        -------
        Path of the atlas's image, for ``--atlases``.
        """
        for name, content in {**CONTENTS, **self.contents}.items():
            describe_dataset(
                out / name,
                name=f"SIMULATED {self.title}, seed {self.plan.seed}: {content}",
                content=content,
                program=program,
                recipe={"Model": self.model, **self.plan.recipe(), **self.facts},
                ignored=self.ignored,
                kind="raw" if name == _RAW else "derivative",
            )
        write_participants(out / "fmriprep" / "participants.tsv", self.labels, {})
        self.write_further_datasets(out)
        write_text(out / TRUTH / "README", f"{self.truth} {WARNING}\n")
        image = self.parcels.write(out / "atlas")
        for person, label in enumerate(self.labels):
            entities = {"sub": label, "task": "rest"}
            write_series(out / "fmriprep", self.draw_run(person), entities)
            say(f"sub-{label} is written ({person + 1} of {self.plan.people})")
        return image


def write_arrays(
    path: Path, labels: Sequence[str], regions: Sequence[str], **arrays: Any
) -> None:
    """Write arrays of people, with names of regions, for ``--input-arrays``."""
    with atomic_file(path) as file:
        np.savez_compressed(
            file, people=np.array(labels), places=np.array(regions), **arrays
        )


def write_participants(
    path: Path, labels: Sequence[str], columns: Mapping[str, Iterable[object]]
) -> None:
    """Write a table with a row for each person."""
    participants = [f"sub-{label}" for label in labels]
    rows = zip(participants, *columns.values(), strict=True)
    write_tsv(path, ["participant_id", *columns], rows)
