"""A simulated BOLD run, as a scanner and fMRIPrep would produce it, and its files.

Every file says that it is simulated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Float64, Indices, Values
from bids_dtg.cleaning.design import stop_band
from bids_dtg.cleaning.table import EXPANSIONS, FD, GLOBAL, MOTION, STD_DVARS
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.names import build_path
from bids_dtg.files.text import write_json, write_text, write_tsv
from bids_dtg.imaging.grid import Grid, standard_grid
from bids_dtg.imaging.nifti import encode, encode_integers, make_header
from bids_dtg.phantom.anatomy import (
    MODEL_SHAPE,
    Anatomy,
    SmoothField,
    axis_positions_mm,
)
from bids_dtg.version import AUTHORS, __version__

_Float = TypeVar("_Float", np.float32, np.float64)

_BLOCK = 32  # frames in memory at once
_SIGNAL = 10.0  # intensity of one unit of a series, about 1 % of the mean
STEADY_FRAMES = 2  # frames before the steady state
# Time constant: 300 frames of 1.5 s are worth about 150 independent samples.
_CORRELATION_S = 2.2
# The mean image is the first number minus the second times T1, so that fluid is bright and white
# matter dark.
_GREY_INTENSITY = 1600.0
_T1_INTENSITY = 800.0
_MOTION_LEAK = 0.15  # share of the change in intensity that remains after realignment
_DRIFT = 3.0  # sd of a drift over voxels and frames
_PULSATION = {"fluid": 15.0, "white": 4.0}  # sd of a tissue's own signal
_JERK = 20.0  # sd of the change in intensity during a jerk
_UNSATURATED = 0.25  # how much brighter the first frame is
# Turns an angle into a displacement, as in framewise displacement.
_HEAD_RADIUS_MM = 50.0
_WALK_MM = 0.015  # sd of a step of the slow drift
_TREMOR_MM = 0.02  # sd of the tremor
_LOG_LEVEL = 0.3  # sd of the log of a run's level of motion
_JERK_SHARE = 0.012  # share of frames with a jerk
_JERK_MM = (0.6, 1.8)  # size of a jerk, as framewise displacement
WARNING = (
    "SIMULATED data without any real person in them. Approximate geometry: the ICBM 2009a "
    "symmetric template stands in for MNI152NLin6Asym. Not for science about brains."
)
DESCRIP = "SIMULATED, no real person (bids_dtg.phantom)"
_FRACTION_DIGITS = 6  # of cells in the confounds table
# Of the model grid in FSL's 2 mm field of view, which fMRIPrep writes.
_OFFSET = (7, 9, 0)
_SLOPE = 2.0  # intensity per stored unit; rounding is far below the noise
_HIGH_PASS_S = 128.0
_COMPONENTS = 6
_OUTLIER_FD_MM = 0.5
_OUTLIER_STD_DVARS = 1.5
# White-matter and fluid voxels from which components are computed.
_COMPONENT_VOXELS = 1500


@dataclass(frozen=True, eq=False)
class BoldRun:
    """A run, ready to be streamed; no array of frames × voxels is held in memory."""

    repetition_time_s: float  # seconds per frame
    # (frames, 6): translations along x, y, z in mm, rotations about x, y, z in radians
    motion: Float64
    anatomy: Anatomy
    field: SmoothField  # makes the voxels' noise smooth
    network_maps: Float32  # (networks, grey voxels)
    series: Float32  # (frames, networks)
    shared: Float32  # (frames,), signal shared by all voxels
    noise: Float32  # (frames, *lattice)
    # (signals, brain voxels), in intensity: the mean image, nuisance, and responses to trials
    nuisance_maps: Float32
    nuisance: Float32  # (frames, signals)

    @property
    def frames(self) -> int:
        """Number of volumes in time."""
        return len(self.series)

    def blocks(self) -> Iterator[Float32]:
        """Yield intensities in blocks of frames, (frames, brain voxels), in order."""
        done = 0
        for block in brain_frames(
            self.network_maps,
            self.series,
            self.shared,
            self.noise,
            self.anatomy,
            self.field,
        ):
            block *= np.float32(_SIGNAL)
            block += self.nuisance[done : done + len(block)] @ self.nuisance_maps
            done += len(block)
            yield block


def brain_frames(
    maps: Float32,
    series: Float32,
    shared: Float32,
    noise: Float32,
    anatomy: Anatomy,
    field: SmoothField,
) -> Iterator[Float32]:
    """Yield the voxels' signals in blocks of frames.

    Parameters
    ----------
    maps
        The person's network maps, (networks, grey voxels).
    series, shared
        (frames, networks) series of networks, and (frames,) signal shared by the brain.
    noise
        White noise with its amplitude, (frames, *lattice).
    anatomy, field
        The voxels, and the smoothness of their noise.

    Yields
    ------
    (frames, brain voxels), float32
    """
    grey = anatomy.grey_in_brain
    for start in range(0, len(series), _BLOCK):
        block = slice(start, start + _BLOCK)
        frames = field.spread(noise[block])[:, anatomy.brain]
        frames += shared[block, None]
        frames[:, grey] += series[block] @ maps
        yield frames


def framewise_displacement_mm(motion: Float64) -> Float64:
    """Sum the absolute changes of motion parameters, angles at 50 mm (Power et al. 2012).

    Returns (frames,), of which the first is NaN.
    """
    to_mm = np.array([1.0] * 3 + [_HEAD_RADIUS_MM] * 3)
    changes = np.abs(np.diff(motion, axis=0))
    return np.concatenate([[np.nan], changes @ to_mm])


def draw_motion(
    rng: np.random.Generator, frames: int, level: float = 1.0
) -> tuple[Float64, Indices]:
    """Draw the head's motion during a run: parameters (frames, 6), and the frames with jerks.

    Parameters
    ----------
    rng, frames
        The run's random stream, and its number of frames.
    level
        The person's level of motion, relative to the usual one.

    Examples
    --------
    >>> motion, jerks = draw_motion(np.random.default_rng(0), frames=20)
    >>> framewise_displacement_mm(motion).shape
    (20,)
    """
    level = level * np.exp(_LOG_LEVEL * rng.standard_normal())
    walk = np.cumsum(_WALK_MM * rng.standard_normal((frames, 6)), axis=0)
    position = level * (walk + _TREMOR_MM * rng.standard_normal((frames, 6)))
    jerks = np.flatnonzero(rng.random(frames) < _JERK_SHARE)
    direction = rng.standard_normal((len(jerks), 6))
    direction /= np.abs(direction).sum(axis=1, keepdims=True)
    # The head returns in the next frame.
    position[jerks] += rng.uniform(*_JERK_MM, size=(len(jerks), 1)) * direction
    position[:, 3:] /= _HEAD_RADIUS_MM
    return position, jerks


def persistence_of(repetition_time_s: float) -> float:
    """Return the correlation of physiological signals between consecutive frames."""
    return float(np.exp(-repetition_time_s / _CORRELATION_S))


def correlated(white: NDArray[_Float], persistence: float) -> NDArray[_Float]:
    """Turn white noise (frames, ...) into AR(1) noise of the same variance, in place."""
    fresh = np.sqrt(1.0 - persistence**2)
    for frame in range(1, len(white)):
        white[frame] *= fresh
        white[frame] += persistence * white[frame - 1]
    return white


def draw_nuisance(
    anatomy: Anatomy,
    field: SmoothField,
    motion: tuple[Float64, Indices],
    persistence: float,
    rng: np.random.Generator,
    *,
    jerk: float = _JERK,
) -> tuple[Float32, Float32]:
    """Draw the nuisance signals of a run.

    Parameters
    ----------
    anatomy, field
        Tissues, and the smoothness of drifts and jerks in space.
    motion
        The head's motion, from `draw_motion`.
    persistence
        Autocorrelation of the noise from frame to frame, from `persistence_of`.
    rng
        Random generator of the run.
    jerk
        Standard deviation of the change in intensity during a jerk. No column of the table of
        confounds describes it, so only censoring removes it.

    Returns
    -------
    maps
        (signals, brain voxels); the first is the mean image.
    courses
        (frames, signals), time courses of the maps.
    """
    parameters, jerking = motion
    frames = len(parameters)
    mean = _mean_image(anatomy, field, rng)
    tissues = np.stack(
        [getattr(anatomy, tissue)[anatomy.brain] for tissue in _PULSATION]
    )
    fields = field.draw(rng, 6)[:, anatomy.brain]
    drifts = _DRIFT * _drifts(frames, rng)
    jerks = np.zeros((frames, 3))
    jerks[jerking] = jerk * rng.standard_normal((len(jerking), 3))
    pulses = [
        sd * correlated(rng.standard_normal((frames, 1)), persistence)
        for sd in _PULSATION.values()
    ]
    # Of each signal, the map and the time course.
    mean_image = (mean[anatomy.brain][None], _saturation(frames)[:, None])
    motion_leak = (
        _MOTION_LEAK * _motion_maps(mean, anatomy),
        parameters - parameters.mean(axis=0),
    )
    drift = (fields[:3], drifts)
    jerking_field = (fields[3:], jerks)
    pulsation = (tissues.astype(np.float32), np.concatenate(pulses, axis=1))
    signals: list[tuple[Values, Values]]
    signals = [mean_image, motion_leak, drift, jerking_field, pulsation]
    maps = np.concatenate([signal_map for signal_map, _ in signals])
    courses = np.hstack([course for _, course in signals])
    return maps.astype(np.float32), courses.astype(np.float32)


def _mean_image(
    anatomy: Anatomy, field: SmoothField, rng: np.random.Generator
) -> Float32:
    """Return the mean image (i, j, k), with the person's own bias field."""
    bias = 1.0 + 0.03 * field.draw(rng, 1)[0]
    tissue = _GREY_INTENSITY - _T1_INTENSITY * anatomy.intensity
    return tissue * bias * anatomy.brain


def _motion_maps(mean: Float32, anatomy: Anatomy) -> Float32:
    """Return changes of intensity per mm along and per radian about each axis, (6, brain voxels).

    To first order, a shift u changes the image by -u times its gradient; a rotation about
    an axis e by the angle a shifts the point r by a (e × r).
    """
    brain = anatomy.brain
    axes = axis_positions_mm(anatomy.grid)
    steps = np.diagonal(anatomy.grid.affine)[:3]
    gx, gy, gz = (  # per mm
        np.asarray(np.gradient(mean, float(step), axis=axis))[brain]
        for axis, step in enumerate(steps)
    )
    x, y, z = (
        np.broadcast_to(positions, brain.shape)[brain] for positions in np.ix_(*axes)
    )
    turns = [gz * y - gy * z, gx * z - gz * x, gy * x - gx * y]
    return -np.stack([gx, gy, gz, *turns]).astype(np.float32)


def _saturation(frames: int) -> Float64:
    """Return the brightness of the frames, 1 in the steady state."""
    course = np.ones(frames)
    unsteady = np.arange(min(STEADY_FRAMES, frames))
    course[:STEADY_FRAMES] += _UNSATURATED * np.exp(-unsteady)
    return course


def _drifts(frames: int, rng: np.random.Generator) -> Float64:
    """Draw three slow time courses, (frames, 3), from a line, a parabola and a half wave."""
    time = np.linspace(-1.0, 1.0, frames)
    shapes = np.stack([time, time**2 - 1.0 / 3.0, np.cos(np.pi * time)], axis=1)
    return shapes @ rng.standard_normal((3, 3))


# --- files


def describe_dataset(
    root: Path,
    *,
    name: str,
    content: str,
    program: str,
    recipe: Mapping[str, Any],
    ignored: str,
    kind: str = "derivative",
) -> None:
    """Write description, README and ``.bidsignore`` of a simulated dataset.

    Parameters
    ----------
    root
        Root folder of the dataset.
    name
        Name of the dataset.
    content
        Its content, in words that begin the README.
    program
        Name of the command that writes it.
    recipe
        Parameters of the simulation, by name.
    ignored
        Patterns of files that the validator does not know, one per line.
    kind
        Type of the dataset: ``derivative`` or ``raw``.
    """
    description = {
        "Name": name,
        "BIDSVersion": "1.10.0",
        "DatasetType": kind,
        "License": "CC0",
        # The BIDS validator warns of a single author.
        "Authors": [*AUTHORS, "The bids_dtg contributors"],
        "GeneratedBy": [
            {
                "Name": f"bids_dtg {program}",
                "Version": __version__,
                "Description": WARNING,
            }
        ],
        "Simulated": True,
        "Simulation": recipe,
    }
    write_json(root / "dataset_description.json", description)
    write_text(root / "README", f"{content[0].upper()}{content[1:]}.\n\n{WARNING}\n")
    write_text(root / ".bidsignore", ignored)


def write_series(root: Path, run: BoldRun, entities: dict[str, Any]) -> None:
    """Write a run as fMRIPrep does: BOLD, brain mask, confounds and their sidecars.

    Parameters
    ----------
    root
        Root folder of the dataset of derivatives.
    run
        The run, on the phantom's grid or in blocks of it.
    entities
        Entities of the run in the names of files.
    """
    grid = run.anatomy.grid
    field = ", FSL's field of view" if grid.shape == MODEL_SHAPE else ""
    voxels = f"voxels of {grid.resolution} mm{field}"
    resolution = {"Resolution": {grid.resolution: voxels}}
    seconds = run.repetition_time_s

    bold = {**entities, **grid.entities, "desc": "preproc"}
    bold_sidecar = {
        "RepetitionTime": seconds,
        "TaskName": entities["task"],
        "SkullStripped": True,
        **resolution,
    }
    signals: dict[str, list[Float32]] = defaultdict(list)
    blocks = recording_signals(run.blocks(), run.anatomy, signals)
    image = encode_bold(
        blocks, run.anatomy, frames=run.frames, repetition_time_s=seconds
    )
    save(root, bold, "bold", ".nii.gz", image)
    _save_sidecar(root, bold, "bold", bold_sidecar)

    mask = {**entities, **grid.entities, "desc": "brain"}
    save(root, mask, "mask", ".nii.gz", encode_mask(run.anatomy))
    _save_sidecar(root, mask, "mask", {"Type": "Brain", **resolution})

    confounds = {**entities, "desc": "confounds"}
    columns, column_details = confounds_table(run.motion, signals, seconds)
    cells = [
        [round(cell, _FRACTION_DIGITS) for cell in column.tolist()]
        for column in columns.values()
    ]
    table = root / build_path(confounds, "timeseries", ".tsv")
    write_tsv(table, list(columns), zip(*cells, strict=True))
    _save_sidecar(root, confounds, "timeseries", column_details)


def _save_sidecar(
    root: Path, entities: dict[str, Any], suffix: str, content: dict[str, Any]
) -> None:
    path = root / build_path(entities, suffix, ".json")
    write_json(path, {**content, **simulation_facts()})


def simulation_facts() -> dict[str, Any]:
    """Return the statement for sidecars that the files are of simulated people."""
    return {"Simulated": True, "Warning": WARNING}


def save(
    root: Path, entities: dict[str, Any], suffix: str, extension: str, data: bytes
) -> None:
    """Write a file of a dataset under the name that its entities give."""
    write_atomic(root / build_path(entities, suffix, extension), data)


def encode_bold(
    blocks: Iterable[Float32],
    anatomy: Anatomy,
    *,
    frames: int,
    repetition_time_s: float,
) -> bytes:
    """Make a complete .nii.gz file, as int16 with a scale factor.

    Voxels of 2 mm are put into FSL's field of view; larger ones keep their own grid.

    Parameters
    ----------
    blocks
        Intensities, (frames, brain voxels), in order.
    anatomy
        The anatomy, on the phantom's grid or in blocks of it.
    frames, repetition_time_s
        Number of frames and repetition time in seconds, for the header.
    """
    grid, brain = _field_of_view(anatomy)
    header = make_header((*grid.shape, frames), grid, description=DESCRIP)
    header.set_data_dtype(np.int16)
    header.set_slope_inter(_SLOPE, 0.0)
    header.set_zooms((*grid.voxel_sizes_mm, repetition_time_s))

    def volumes() -> Iterator[NDArray[np.int16]]:
        stored = np.zeros(grid.shape, np.int16, order="F")  # the order of the file
        for block in blocks:
            for frame in np.rint(block / np.float32(_SLOPE)).astype(np.int16):
                stored[brain] = frame
                yield stored

    return encode(header, volumes())


def encode_mask(anatomy: Anatomy) -> bytes:
    """Make a complete .nii.gz file of the brain mask, in the field of view of `encode_bold`."""
    grid, brain = _field_of_view(anatomy)
    mask = np.zeros(grid.shape, np.uint8)
    mask[brain] = 1
    return encode_integers(mask, grid, quick=True, description=DESCRIP)


def _field_of_view(anatomy: Anatomy) -> tuple[Grid, tuple[Indices, ...]]:
    """Return the grid of files, and the indices of the brain's voxels on it."""
    inside = np.nonzero(anatomy.brain)
    if anatomy.grid.shape != MODEL_SHAPE:
        return anatomy.grid, inside
    shifted = [
        indices + offset for indices, offset in zip(inside, _OFFSET, strict=True)
    ]
    return standard_grid(), tuple(shifted)


def confounds_table(
    motion: Float64, signals: Mapping[str, list[Float32]], repetition_time_s: float
) -> tuple[dict[str, Float64], dict[str, Any]]:
    """Make the confounds table and its sidecar.

    Parameters
    ----------
    motion
        (frames, 6) parameters of the head's motion.
    signals
        Signals of the run, from `recording_signals`.
    repetition_time_s
        Time between frames, in seconds.

    Returns
    -------
    columns
        By name, (frames,); NaN where fMRIPrep writes n/a.
    sidecar
        Metadata of the columns that need some.
    """
    frames = len(motion)
    run_signals = {
        name: np.concatenate(blocks).astype(np.float64)
        for name, blocks in signals.items()
    }
    columns: dict[str, Float64] = {}
    tissues = ("csf", "white_matter", GLOBAL)
    for name, column in zip(tissues, run_signals["means"].T, strict=True):
        columns |= _expanded(name, column)
    fd = framewise_displacement_mm(motion)
    dvars = np.sqrt(run_signals["changes"])
    dvars[0] = np.nan
    columns["dvars"] = dvars
    # Relative to the median change of the run.
    columns[STD_DVARS] = dvars / np.nanmedian(dvars)
    columns[FD] = fd
    for name, column in zip(MOTION, motion.T, strict=True):
        columns |= _expanded(name, column)
    steady_cosines = stop_band(
        frames - STEADY_FRAMES, repetition_time_s, high_pass_hz=1 / _HIGH_PASS_S
    )
    cosines = np.pad(steady_cosines, ((STEADY_FRAMES, 0), (0, 0)))
    components, sidecar = _components(run_signals["voxels"], steady_cosines)
    columns |= components
    columns |= {f"cosine{n:02d}": column for n, column in enumerate(cosines.T)}
    columns |= _one_hot("non_steady_state_outlier", np.arange(STEADY_FRAMES), frames)
    moved = (fd > _OUTLIER_FD_MM) | (columns[STD_DVARS] > _OUTLIER_STD_DVARS)
    columns |= _one_hot("motion_outlier", np.flatnonzero(moved), frames)
    return columns, sidecar


def _expanded(name: str, column: Float64) -> dict[str, Float64]:
    """Return a column, its derivative, and the squares of both."""
    derivative = np.concatenate([[np.nan], np.diff(column)])
    columns = [column, derivative, column**2, derivative**2]
    names = [name + expansion for expansion in EXPANSIONS]
    return dict(zip(names, columns, strict=True))


def _components(
    voxels: Float64, cosines: Float64
) -> tuple[dict[str, Float64], dict[str, Any]]:
    """Return the principal components of white matter and fluid (aCompCor) and their metadata."""
    steady = voxels[STEADY_FRAMES:]
    slow = np.concatenate([np.ones((len(steady), 1)), cosines], axis=1)
    steady = steady - slow @ np.linalg.lstsq(slow, steady, rcond=None)[0]
    steady /= np.maximum(steady.std(axis=0), 1e-6)
    courses, singular, _ = np.linalg.svd(steady, full_matrices=False)
    explained = singular**2 / (singular**2).sum()
    columns, sidecar = {}, {}
    for n in range(min(_COMPONENTS, courses.shape[1])):
        name = f"a_comp_cor_{n:02d}"
        columns[name] = np.pad(courses[:, n], (STEADY_FRAMES, 0))
        sidecar[name] = {
            "Method": "aCompCor",
            "Mask": "combined",
            "Retained": True,
            "SingularValue": float(singular[n]),
            "VarianceExplained": float(explained[n]),
            "CumulativeVarianceExplained": float(explained[: n + 1].sum()),
        }
    return columns, sidecar


def _one_hot(name: str, frames: Indices, total: int) -> dict[str, Float64]:
    return {
        f"{name}{n:02d}": (np.arange(total) == frame).astype(np.float64)
        for n, frame in enumerate(frames)
    }


def recording_signals(
    blocks: Iterable[Float32], anatomy: Anatomy, signals: Mapping[str, list[Float32]]
) -> Iterator[Float32]:
    """Yield blocks of frames (frames, brain voxels) unchanged, and record signals of each.

    Parameters
    ----------
    blocks
        Frames of a run, in order.
    anatomy
        Its tissues.
    signals
        Lists to which blocks are appended: ``means`` over fluid, white matter and the brain,
        (frames, 3); ``changes``, the mean square change from the previous frame, (frames,), the
        first 0; ``voxels``, a sample of white matter and fluid, (frames, voxels).
    """
    fluid = anatomy.fluid[anatomy.brain]
    white = anatomy.white[anatomy.brain]
    tissues = [fluid, white, np.ones(len(fluid), bool)]
    # (brain voxels, tissues)
    weights = np.stack([tissue / tissue.sum() for tissue in tissues], axis=1)
    weights = weights.astype(np.float32)
    component_voxels = np.flatnonzero(fluid | white)
    sample = component_voxels[:: -(-len(component_voxels) // _COMPONENT_VOXELS)]
    previous: Float32 | None = None  # the last frame of the block before
    for frames in blocks:
        signals["means"].append(frames @ weights)
        signals["voxels"].append(frames[:, sample])
        if previous is None:
            previous = frames[:1]
        change = np.diff(frames, axis=0, prepend=previous)
        squares = np.einsum("tv,tv->t", change, change)
        signals["changes"].append(squares / np.float32(change.shape[1]))
        previous = frames[-1:].copy()
        yield frames
