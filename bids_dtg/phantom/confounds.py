"""The table of confounds of a run, under fMRIPrep's names, and the signals that it needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.phantom.anatomy import Anatomy
from bids_dtg.phantom.motion import Motion

Column = NDArray[np.float64]
_MOTION = tuple(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz")
_HIGH_PASS_S = 128.0
_COMPONENTS = 6
_OUTLIER_FD_MM, _OUTLIER_STD_DVARS = 0.5, 1.5


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
    frames = len(motion.translation_mm)
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


Array = NDArray[np.float32]
_COMPONENT_VOXELS = 1500  # voxels of white matter and fluid that the components are taken from


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
