"""Reduce images in memory, as arrays, to the connectome that a model reads."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.connectome import Connectome, run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.given import confound_columns, kept_frames, real_numbers
from bids_dtg.connectome.moments import measure_run
from bids_dtg.connectome.passes import Blocks
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.participant.measure import ModelVoxels
from bids_dtg.files.sidecars import EXPECTED_TR, LONGEST_TR_SECONDS
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.sampling import LatticeSampling
from bids_dtg.participants.run_source import require_coverage

_FRAMES = 32


def measure_array(
    bold: NDArray[np.floating],
    affine: NDArray[np.floating],
    bundle: ModelBundle,
    *,
    repetition_time_s: float,
    confounds: NDArray[np.floating] | None = None,
    keep: NDArray[np.bool_] | None = None,
) -> Connectome:
    """Clean a BOLD image in memory and reduce it to the connectome that a model reads.

    Parameters
    ----------
    bold
        (i, j, k, frames), as nibabel's `get_fdata` gives it, in the space of the model's grid
        (`bundle.grid.space`) and on its lattice: any crop, flip or order of axes of it.
    affine
        (4, 4), voxel indices to RAS+ mm.
    bundle
        The model, whose voxels and ROI maps are taken.
    repetition_time_s
        Seconds from one frame to the next.
    confounds
        (frames, columns) to regress out; an intercept always is.
    keep
        (frames,), False for frames to remove; all are kept by default.

    Returns
    -------
    Connectome
        (rois, voxels of the bundle's mask) of all frames that are kept.

    Raises
    ------
    TypeError
        Arrays that are no real numbers; `keep` that is no truth values.
    ValueError
        Shapes that do not fit, a repetition time that is none, confounds without a finite number,
        or too few frames for the columns.
    RunError
        The voxels do not lie on the model's lattice, or less than half of them have signal.

    Examples
    --------
    >>> from bids_dtg.contrasts.bundle.bundle import load_bundle
    >>> bundle = load_bundle("demo")
    >>> shape = (*bundle.grid.shape, 20)
    >>> bold = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    >>> measure_array(bold, bundle.grid.affine, bundle, repetition_time_s=2.0).r.shape
    (50, 163310)
    """
    if not isinstance(bundle, ModelBundle):
        raise TypeError(f"the bundle is a {type(bundle).__name__}. Expected: of load_bundle")
    tr: object = repetition_time_s
    if not isinstance(tr, int | float | np.number) or not 0 < float(tr) <= LONGEST_TR_SECONDS:
        raise ValueError(f"repetition_time_s is {tr!r}. Expected: {EXPECTED_TR}")
    bold, to_mm = real_numbers(bold, "bold"), np.asarray(affine, np.float64)
    if bold.ndim != 4 or to_mm.shape != (4, 4):
        raise ValueError(
            f"bold is (i, j, k, frames) and the affine (4, 4), not {bold.shape} and {to_mm.shape}"
        )
    if not abs(np.linalg.det(to_mm[:3, :3])) > 0:
        raise ValueError("the affine cannot be inverted")
    frames = bold.shape[3]
    table = confound_columns(confounds, frames)
    grid, voxels = bundle.grid, ModelVoxels.of(bundle)
    assert isinstance(voxels.places, VoxelPlaces)  # of a model on a grid
    sampling = LatticeSampling.between(
        bold.shape[:3], to_mm, grid, voxels.places.positions, name="the array"
    )
    design = TemporalDesign.build(
        table,
        [f"column {index}" for index in range(table.shape[1])],
        kept_frames(keep, frames),
        float(repetition_time_s),
    )

    def blocks() -> Blocks:
        for first in range(0, frames, _FRAMES):
            # (i, j, k, frames) -> (frames, voxels), first axis of the image fastest.
            block = bold[..., first : first + _FRAMES]
            yield first, sampling.apply(block.reshape(-1, block.shape[3], order="F").T, 1.0, 0.0)

    moments = measure_run(
        blocks,
        design,
        voxels.of_run(sampling.covered, bundle.card.part.connectome),
        segments=design.segments(math.inf),
        dtype=np.float64,
    )
    found = run_connectomes(moments, form=bundle.card.part.connectome)
    require_coverage("the array", found.coverage, "the model's grey matter")
    return found.segments[0]
