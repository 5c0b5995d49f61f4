"""Simulated runs as fMRIPrep leaves real ones; every file says that nobody real is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.names import build_path
from bids_dtg.files.text import write_json, write_text, write_tsv
from bids_dtg.phantom.anatomy import MODEL_SHAPE, Anatomy
from bids_dtg.phantom.run import BoldRun, Motion
from bids_dtg.version import AUTHORS

Array = NDArray[np.float32]
Column = NDArray[np.float64]

WARNING = (
    "SIMULATED data without any real person in them. Approximate geometry: the ICBM 2009a "
    "symmetric template stands in for MNI152NLin6Asym. Not for science about brains."
)
DESCRIP = "SIMULATED, no real person (bids_dtg.phantom)"
_FRACTION_DIGITS = 6  # of cells in the table of confounds
# FSL's 2 mm field of view, which fMRIPrep writes; the model grid is a block of it.
FIELD_OF_VIEW = (91, 109, 91)
_ORIGIN_MM = (90.0, -126.0, -72.0)
_OFFSET = (7, 9, 0)
_SLOPE = 0.5  # intensity a stored unit: its rounding is far below the noise
_TEMPLATE_SPACE = 4  # MNI 152 in the qform and sform codes
_LEVEL = 1  # noise hardly shrinks at higher ones
_Nifti1Header: Any = nib.Nifti1Header  # its methods have no types
_GZIP_CONTAINER = 31  # wbits; the time stamp is 0, so equal runs give equal bytes
_MOTION = tuple(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz")
_HIGH_PASS_S = 128.0
_COMPONENTS = 6
_OUTLIER_FD_MM, _OUTLIER_STD_DVARS = 0.5, 1.5
_COMPONENT_VOXELS = 1500  # voxels of white matter and fluid that the components are taken from


def describe_dataset(
    root: Path,
    *,
    name: str,
    content: str,
    generator: Mapping[str, Any],
    recipe: Mapping[str, Any],
    ignored: str,
    kind: str = "derivative",
) -> None:
    """Write what describes a simulated data set: description, README and ``.bidsignore``.

    Parameters
    ----------
    root
        Root folder of the data set.
    name
        Name of the data set.
    content
        What is in it, in words that begin the README.
    generator
        Entry of `GeneratedBy` in the dataset's description.
    recipe
        How it was simulated, by name.
    ignored
        Patterns of files that the validator's schema does not have, a line each.
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
        "GeneratedBy": [{**generator, "Description": WARNING}],
        "Simulated": True,
        "Simulation": recipe,
    }
    write_json(root / "dataset_description.json", description)
    write_text(root / "README", f"{content[0].upper()}{content[1:]}.\n\n{WARNING}\n")
    write_text(root / ".bidsignore", ignored)


def write_series(root: Path, run: BoldRun, entities: dict[str, Any]) -> None:
    """Write a run as fMRIPrep leaves it: BOLD, brain mask, confounds and their sidecars.

    Parameters
    ----------
    root
        Root folder of the dataset of derivatives.
    run
        On the phantom's grid, or blocks of it.
    entities
        Of its names, up to the run's number.
    """
    signals = SignalRecorder(run.anatomy)
    image = encode_bold(
        _recorded(run, signals),
        run.anatomy,
        frames=run.frames,
        repetition_time_s=run.repetition_time_s,
        description=DESCRIP,
    )
    resolution = _resolution(run.anatomy)
    bold = {**entities, **run.anatomy.grid.entities, "desc": "preproc"}
    mask = {**entities, **run.anatomy.grid.entities, "desc": "brain"}
    table = {**entities, "desc": "confounds"}
    columns, details = confounds_table(
        run.motion,
        signals,
        non_steady=run.non_steady,
        repetition_time_s=run.repetition_time_s,
    )
    save(root, bold, "bold", ".nii.gz", image)
    save_json(
        root,
        bold,
        "bold",
        {
            "RepetitionTime": run.repetition_time_s,
            "TaskName": entities["task"],
            "SkullStripped": True,
            **resolution,
        },
    )
    save(root, mask, "mask", ".nii.gz", encode_mask(run.anatomy, DESCRIP))
    save_json(root, mask, "mask", {"Type": "Brain", **resolution})
    cells = ([round(cell, _FRACTION_DIGITS) for cell in own.tolist()] for own in columns.values())
    write_tsv(
        root / build_path(table, "timeseries", ".tsv"), list(columns), zip(*cells, strict=True)
    )
    save_json(root, table, "timeseries", details)


def _recorded(run: BoldRun, signals: SignalRecorder) -> Iterator[Array]:
    for block in run.blocks():
        signals.add(block)
        yield block


def _resolution(anatomy: Anatomy) -> dict[str, Any]:
    grid = anatomy.grid
    field = ", FSL's field of view" if grid.shape == MODEL_SHAPE else ""
    return {"Resolution": {grid.resolution: f"voxels of {grid.resolution} mm{field}"}}


def marks() -> dict[str, Any]:
    """Return the statement for sidecars that the files are of simulated people."""
    return {"Simulated": True, "Warning": WARNING}


def save(
    root: Path, entities: dict[str, Any], suffix: str, extension: str, data: bytes | bytearray
) -> None:
    """Write a file below a dataset, by its entities."""
    write_atomic(root / build_path(entities, suffix, extension), data)


def save_json(root: Path, entities: dict[str, Any], suffix: str, content: dict[str, Any]) -> None:
    """Write a sidecar by its entities; it says that its file is simulated."""
    write_json(root / build_path(entities, suffix, ".json"), {**content, **marks()})


def encode_bold(
    blocks: Iterable[NDArray[np.float32]],
    anatomy: Anatomy,
    *,
    frames: int,
    repetition_time_s: float,
    description: str,
) -> bytearray:
    """Make a complete .nii.gz file: int16 with a scale factor.

    Voxels of 2 mm lie in FSL's field of view, larger ones in that of their own grid.

    Parameters
    ----------
    blocks
        Intensities, (frames, brain voxels), in order.
    anatomy
        On the phantom's grid, or blocks of it.
    frames, repetition_time_s
        Number of frames and repetition time in seconds, for the header.
    description
        Text of `descrip`, at most 79 ASCII characters.

    Raises
    ------
    ValueError
        If the blocks hold another number of frames.
    """
    header, stored, positions = _layout(
        anatomy, "<i2", description, slope=_SLOPE, times=(frames, repetition_time_s)
    )
    compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_CONTAINER)
    encoded = bytearray(compressor.compress(header))
    written = 0
    for block in blocks:
        whole = np.rint(block / np.float32(_SLOPE)).astype("<i2")
        for frame in whole:
            stored[positions] = frame
            encoded += compressor.compress(stored.data)
        written += len(whole)
    if written != frames:
        raise ValueError(f"{written} frames came, the header says {frames}")
    encoded += compressor.flush()
    return encoded


def encode_mask(anatomy: Anatomy, description: str) -> bytes:
    """Make a complete .nii.gz file of the brain's mask, in the field of view of `encode_bold`."""
    header, stored, positions = _layout(anatomy, "|u1", description)
    stored[positions] = 1
    compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_CONTAINER)
    encoded: bytes = compressor.compress(header + stored.tobytes()) + compressor.flush()
    return encoded


def _layout(
    anatomy: Anatomy,
    dtype: str,
    description: str,
    *,
    slope: float = 1.0,
    times: tuple[int, float] | None = None,
) -> tuple[bytes, NDArray[Any], NDArray[np.intp]]:
    """Return an image's header, a frame of zeros, and where the brain's voxels lie in a frame.

    `times` are the number of frames and the seconds between them; None: the image has no frames.
    """
    shape, affine, offset = anatomy.grid.shape, anatomy.grid.affine, (0, 0, 0)
    if shape == MODEL_SHAPE:
        shape, affine, offset = FIELD_OF_VIEW, np.diag([-2.0, 2.0, 2.0, 1.0]), _OFFSET
        affine[:3, 3] = _ORIGIN_MM
    inside = np.zeros(shape, bool)
    inside[
        tuple(slice(n, n + size) for n, size in zip(offset, anatomy.brain.shape, strict=True))
    ] = anatomy.brain
    positions = np.arange(inside.size).reshape(shape, order="F")[inside]
    header = _Nifti1Header(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(shape if times is None else (*shape, times[0]))
    header.set_zooms((*np.abs(np.diagonal(affine)[:3]), *(() if times is None else times[1:])))
    header.set_qform(affine, code=_TEMPLATE_SPACE)
    header.set_sform(affine, code=_TEMPLATE_SPACE)
    header.set_xyzt_units("mm", None if times is None else "sec")
    header["descrip"] = description.encode("ascii", "replace")[:79]
    header.set_slope_inter(slope, 0.0)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    # Four zero bytes: no extensions follow.
    return bytes(header.binaryblock) + bytes(4), np.zeros(inside.size, dtype), positions


def confounds_table(
    motion: Motion, signals: SignalRecorder, *, non_steady: int, repetition_time_s: float
) -> tuple[dict[str, Column], dict[str, Any]]:
    """Make the table and its sidecar.

    Parameters
    ----------
    motion, signals
        Motion of the head, and the recorder of the run's tissue signals.
    non_steady
        Frames at the start before the steady state.
    repetition_time_s
        Time between frames, in seconds.

    Returns
    -------
    columns
        By name, (frames,); NaN where fMRIPrep writes n/a.
    sidecar
        Metadata of the columns that need some.
    """
    frames = len(motion.parameters)
    columns: dict[str, Column] = {}
    means = signals.tissue_means
    for name, column in zip(("csf", "white_matter", "global_signal"), means.T, strict=True):
        columns |= _expanded(name, column)
    dvars, fd = signals.dvars, motion.framewise_displacement_mm
    columns["dvars"] = dvars
    # Relative to the run's usual change: 1 is usual.
    columns["std_dvars"] = dvars / np.nanmedian(dvars)
    columns["framewise_displacement"] = fd
    for name, column in zip(_MOTION, motion.parameters.T, strict=True):
        columns |= _expanded(name, column)
    cosines = _cosines(frames, non_steady, repetition_time_s)
    components, sidecar = _components(signals.sample, cosines, non_steady)
    columns |= components
    columns |= {f"cosine{n:02d}": column for n, column in enumerate(cosines.T)}
    columns |= _one_hot("non_steady_state_outlier", np.arange(non_steady), frames)
    moved = (fd > _OUTLIER_FD_MM) | (columns["std_dvars"] > _OUTLIER_STD_DVARS)
    columns |= _one_hot("motion_outlier", np.flatnonzero(moved), frames)
    return columns, sidecar


def _expanded(name: str, column: Column) -> dict[str, Column]:
    """Add the derivative and the squares of both."""
    derivative = np.concatenate([[np.nan], np.diff(column)])
    return {
        name: column,
        f"{name}_derivative1": derivative,
        f"{name}_power2": column**2,
        f"{name}_derivative1_power2": derivative**2,
    }


def _cosines(frames: int, non_steady: int, repetition_time_s: float) -> NDArray[np.float64]:
    """Return the discrete cosines slower than 128 s, (frames, cosines); 0 while not steady."""
    steady = frames - non_steady
    count = int(2 * steady * repetition_time_s / _HIGH_PASS_S)
    phase = np.pi * (2 * np.arange(steady)[:, None] + 1) / (2 * steady)
    cosines = np.zeros((frames, count))
    cosines[non_steady:] = np.sqrt(2.0 / steady) * np.cos(phase * np.arange(1, count + 1))
    return cosines


def _components(
    voxels: NDArray[np.float64], cosines: NDArray[np.float64], non_steady: int
) -> tuple[dict[str, Column], dict[str, Any]]:
    """Return the principal components of white matter and fluid (aCompCor) and their metadata."""
    steady = voxels[non_steady:]
    slow = np.concatenate([np.ones((len(steady), 1)), cosines[non_steady:]], axis=1)
    steady = steady - slow @ np.linalg.lstsq(slow, steady, rcond=None)[0]
    steady /= np.maximum(steady.std(axis=0), 1e-6)
    courses, singular, _ = np.linalg.svd(steady, full_matrices=False)
    explained = singular**2 / (singular**2).sum()
    columns, sidecar = {}, {}
    for n in range(min(_COMPONENTS, courses.shape[1])):
        name = f"a_comp_cor_{n:02d}"
        columns[name] = np.concatenate([np.zeros(non_steady), courses[:, n]])
        sidecar[name] = {
            "Method": "aCompCor",
            "Mask": "combined",
            "Retained": True,
            "SingularValue": float(singular[n]),
            "VarianceExplained": float(explained[n]),
            "CumulativeVarianceExplained": float(explained[: n + 1].sum()),
        }
    return columns, sidecar


def _one_hot(name: str, frames: NDArray[np.intp], total: int) -> dict[str, Column]:
    return {
        f"{name}{n:02d}": (np.arange(total) == frame).astype(np.float64)
        for n, frame in enumerate(frames)
    }


class SignalRecorder:
    """Adds up means, changes and a sample of voxels from blocks of frames."""

    def __init__(self, anatomy: Anatomy) -> None:
        brain = anatomy.brain
        tissues = [anatomy.fluid[brain], anatomy.white[brain], np.ones(brain.sum(), bool)]
        self._means = np.stack([t / t.sum() for t in tissues], axis=1).astype(np.float32)
        inner = np.flatnonzero(tissues[0] | tissues[1])
        self._sample = inner[:: -(-len(inner) // _COMPONENT_VOXELS)]
        self._tissue: list[Array] = []
        self._changes: list[Array] = []
        self._voxels: list[Array] = []
        self._last: Array | None = None

    def add(self, frames: Array) -> None:
        """Add the next frames, (frames, brain voxels)."""
        self._tissue.append(frames @ self._means)
        self._voxels.append(frames[:, self._sample])
        before = frames[:1] if self._last is None else self._last
        change = np.diff(frames, axis=0, prepend=before)
        self._changes.append(np.einsum("tv,tv->t", change, change) / np.float32(change.shape[1]))
        self._last = frames[-1:].copy()

    @property
    def tissue_means(self) -> NDArray[np.float64]:
        """Means over fluid, white matter and the brain, (frames, 3)."""
        return np.concatenate(self._tissue).astype(np.float64)

    @property
    def dvars(self) -> NDArray[np.float64]:
        """Root mean square change over the brain, (frames,); the first NaN."""
        dvars = np.sqrt(np.concatenate(self._changes).astype(np.float64))
        dvars[0] = np.nan
        return dvars

    @property
    def sample(self) -> NDArray[np.float64]:
        """Voxels of white matter and fluid, (frames, voxels)."""
        return np.concatenate(self._voxels).astype(np.float64)
