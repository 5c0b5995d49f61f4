"""One resting-state run: from its files to connectomes and quality figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.cleaning.confounds import Confounds, load_confounds
from bids_dtg.cleaning.design import design_run, frequency_facts
from bids_dtg.connectome.connectome import RunConnectomes, run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.device import Arrays
from bids_dtg.connectome.moments import Blocks, MakeSmoothing, RunMoments, measure_run
from bids_dtg.engine.display import Clock
from bids_dtg.errors import RunError
from bids_dtg.imaging.bold import BoldHeader, read_bold_header, stream_voxels
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.imaging.placement import Method, Placement
from bids_dtg.imaging.sampling import Sampling
from bids_dtg.imaging.smoothing import MaskedSmoothing
from bids_dtg.inputs.run import RestRun
from bids_dtg.settings import Settings

# Below this a run's brain and the model's hardly meet: a wrong space or an empty image.
LEAST_COVERAGE = 0.5
# RepetitionTime of the sidecar and of the header may differ by rounding, not by more.
_TR_TOLERANCE_SECONDS = 1e-3


@dataclass(frozen=True, eq=False)
class MeasuredRun:
    """What one run gives: connectomes, and how they came about."""

    run: RestRun  # its files
    connectomes: RunConnectomes  # whole run, segments, halves, coverage, tSNR
    design: TemporalDesign  # frames kept and columns removed
    cleaning: Mapping[str, object]  # what was decided about it, for the sidecar
    confounds: Confounds  # what the columns came from
    interpolation: Method  # how the model's voxels were taken out of the file
    mask_overlap: float | None  # Dice of its brain mask and the model's; None where not known
    notes: tuple[str, ...]  # sentences on what was unusual


@dataclass(frozen=True, eq=False)
class ModelVoxels:
    """The voxels that a model reads: grey matter first, then the rest of the brain."""

    positions: NDArray[np.intp]  # (voxels,), flat in the grid, C order
    in_brain: NDArray[np.bool_]  # (voxels,), whether the ROI series are computed there
    maps: NDArray[np.float32]  # (rois, voxels), 0 outside the brain
    grey_voxels: int  # number of leading grey-matter voxels

    @classmethod
    def of(cls, bundle: ModelBundle) -> ModelVoxels:
        """Order a bundle's voxels as the pass over a run wants them."""
        grey = np.flatnonzero(bundle.mask)
        rest = np.flatnonzero(bundle.brain_mask & ~bundle.mask)
        positions = np.concatenate([grey, rest])
        in_brain = bundle.brain_mask.ravel()[positions]
        # Position of each grid voxel among the brain's voxels, which order the maps.
        rank = np.cumsum(bundle.brain_mask.ravel()) - 1
        maps = bundle.roi_maps[:, rank[positions]]
        maps[:, ~in_brain] = 0.0
        return cls(positions, in_brain, maps, len(grey))


def measure_rest_run(
    run: RestRun,
    bundle: ModelBundle,
    voxels: ModelVoxels,
    settings: Settings,
    *,
    arrays: Arrays,
    threads: int,
    clock: Clock,
    progress: Callable[[float], None],
) -> MeasuredRun:
    """Clean a run and reduce it to connectomes, in one pass over its file.

    Parameters
    ----------
    run, bundle, settings
        What to read, for which model, and how to clean.
    voxels
        The bundle's voxels, in the order of the pass.
    arrays
        Where the sums are computed.
    threads
        Threads to compute with.
    clock
        Adds up the time of the stages.
    progress
        Told the share of the frames that have been read.

    Raises
    ------
    TooShortError
        Less than ``min_minutes`` are left after censoring.
    RunError
        The run's files cannot be used.
    """
    with clock.time("confounds"):
        header = read_bold_header(run.bold)
        tr_seconds, notes = _repetition_time(run, header)
        confounds = load_confounds(run, settings.cleaning, n_frames=header.frames)
        design, told = design_run(run, confounds, tr_seconds, settings.cleaning)
    with clock.time("sampling"):
        _require_way_to(bundle, run)
        placement = Placement.through(bundle.grid, voxels.positions, run.transforms)
        sampling, method = placement.in_file(header, settings.cleaning.interpolation)
        notes += _notes_on_forms(header)
        masked = _run_mask(run, placement, notes)
        valid = sampling.covered & voxels.in_brain & masked
        overlap = _mask_overlap(run, bundle, int((masked & voxels.in_brain).sum()))
        del placement  # as large as the voxels' points
    moments = _one_pass(
        header,
        sampling,
        design,
        voxels,
        valid,
        bundle.card.segment_seconds,
        _smoothing(bundle, voxels, settings.cleaning.smoothing_fwhm),
        arrays,
        clock,
        progress,
    )
    with clock.time("algebra"):
        connectomes = run_connectomes(
            moments,
            every_part=settings.outputs.write_connectome or settings.outputs.half_maps,
            threads=threads,
        )
    if connectomes.coverage < LEAST_COVERAGE:
        raise RunError(
            f"{run.bold} has signal in {connectomes.coverage:.0%} of the model's grey matter",
            expected=f"at least {LEAST_COVERAGE:.0%}",
            remedy="check that the image is not empty and that its space is right",
        )
    notes += [*design.notes, *confounds.notes, *told]
    cleaning = {**design.decisions, **frequency_facts(settings.cleaning)}
    return MeasuredRun(run, connectomes, design, cleaning, confounds, method, overlap, tuple(notes))


def _one_pass(
    header: BoldHeader,
    sampling: Sampling,
    design: TemporalDesign,
    voxels: ModelVoxels,
    valid: NDArray[np.bool_],
    segment_seconds: float,
    smoothing: MakeSmoothing | None,
    arrays: Arrays,
    clock: Clock,
    progress: Callable[[float], None],
) -> RunMoments:
    def blocks() -> Blocks:
        stream = stream_voxels(header, sampling)
        with closing(stream):
            while True:
                # What is not hidden behind the sums.
                with clock.time("wait for file"):
                    item = next(stream, None)
                if item is None:
                    return
                first, block = item
                progress((first + len(block)) / header.frames)
                start = time.perf_counter()
                yield first, block
                clock.seconds["sums"] += time.perf_counter() - start

    try:
        return measure_run(
            blocks,
            design,
            voxels.maps,
            voxels.grey_voxels,
            valid,
            seconds_per_segment=segment_seconds,
            arrays=arrays,
            smoothing=smoothing,
        )
    except ValueError as err:
        raise RunError(f"{header.path} cannot be used: {err}") from err


def _smoothing(
    bundle: ModelBundle, voxels: ModelVoxels, fwhm_mm: float | None
) -> MakeSmoothing | None:
    if fwhm_mm is None:
        return None
    return partial(MaskedSmoothing.within, bundle.grid, voxels.positions, fwhm_mm=fwhm_mm)


def _repetition_time(run: RestRun, header: BoldHeader) -> tuple[float, list[str]]:
    told, stored = run.tr_seconds, header.tr_seconds
    if told is None and stored is None:
        raise RunError(
            f"{run.bold} has no repetition time in its sidecars or header",
            expected="RepetitionTime (seconds) in the JSON file beside it",
        )
    if told is None and stored is not None:
        return stored, [f"No sidecar has a RepetitionTime: the header's ({stored:g} s) was used."]
    if told is None or stored is None or abs(told - stored) <= _TR_TOLERANCE_SECONDS:
        return told or 0.0, []
    note = f"The sidecar's RepetitionTime ({told:g} s) was used; the header has {stored:g} s."
    return told, [note]


def _require_way_to(bundle: ModelBundle, run: RestRun) -> None:
    if not run.transforms and run.space != bundle.grid.space:
        raise RunError(
            f"{run.bold} is in {run.space}, with no transforms to it",
            expected=f"{bundle.grid.space}, the model's space, or transforms from it",
        )


def _notes_on_forms(header: BoldHeader) -> list[str]:
    if not header.forms_differ_mm:
        return []
    return [
        "The header's sform was used; its qform, of another space, puts a voxel up to "
        f"{header.forms_differ_mm:.3g} mm elsewhere."
    ]


def _mask_overlap(run: RestRun, bundle: ModelBundle, shared_voxels: int) -> float | None:
    """Return the Dice overlap of the brain masks; None without a mask in the model's space."""
    if run.mask is None or run.transforms:
        return None  # a brain of native space has another volume
    values, affine = read_volume(run.mask)
    of_run = float(np.count_nonzero(np.greater(values, 0.5)) * abs(np.linalg.det(affine[:3, :3])))
    voxel = float(abs(np.linalg.det(bundle.grid.affine[:3, :3])))
    of_model = voxel * float(bundle.brain_mask.sum())
    return 2 * voxel * shared_voxels / (of_run + of_model)


def _run_mask(run: RestRun, placement: Placement, notes: list[str]) -> NDArray[np.bool_]:
    if run.mask is None:
        notes.append("The run has no brain mask: every voxel with signal was used.")
        return np.ones(len(placement.voxels), dtype=bool)
    return placement.mask(run.mask)
