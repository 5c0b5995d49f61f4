"""What a run's report is drawn from, kept as small derivative files beside the maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.errors import RunError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import bids_uri, build_path
from bids_dtg.files.text import write_json, write_tsv
from bids_dtg.imaging.bold import read_bold_header, stream_voxels
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import encode_integers
from bids_dtg.imaging.placement import Placement
from bids_dtg.inputs.run import RestRun
from bids_dtg.report.contents import CONNECTOME, COVERAGE, FRAMES, HALVES, TISSUE_LABELS
from bids_dtg.settings import Interpolation
from bids_dtg.workflows.participant.map_files import model_entities, on_grid_metadata
from bids_dtg.workflows.participant.measure import MeasuredRun
from bids_dtg.workflows.participant.sets import run_entities

# Enough to see where the brain is; a hundredth of a run is inflated for it.
_MEAN_OVER = 8
_STORED_R = 1e-3  # what a stored 1 stands for in the map of agreement
_FRAME_COLUMNS = {
    "framewise_displacement": {
        "Description": "Framewise displacement, from the table of confounds",
        "Units": "mm",
    },
    "std_dvars": {"Description": "Standardised DVARS, from the table of confounds"},
    "kept": {"Description": "1 where the frame was used, 0 where it was dropped or censored"},
}


@dataclass(frozen=True, eq=False)
class RunDetails:
    """Small arrays of one run that its report shows."""

    run: RestRun  # its files
    kept: NDArray[np.bool_]  # (frames,)
    fd_mm: NDArray[np.float64] | None  # (frames,), NaN where n/a; None where there is no column
    std_dvars: NDArray[np.float64] | None  # (frames,), likewise
    repetition_time: float  # seconds between frames
    covered: NDArray[np.bool_]  # (grey-matter voxels,), with signal
    agreement: NDArray[np.float32]  # (grey-matter voxels,), of the connectomes of the halves
    roi_coverage: NDArray[np.float64]  # (rois,), share of a map's weight on covered voxels
    roi_r: NDArray[np.float64]  # (rois, rois), Pearson r of the cleaned ROI series
    mean_bold: NDArray[np.float32] | None  # (i, j, k) on the model's grid; None if not readable


def details_of(
    measured: MeasuredRun, bundle: ModelBundle, interpolation: Interpolation
) -> RunDetails:
    """Collect what the report shows of a run that has been measured."""
    run, design, result = measured.run, measured.design, measured.connectomes
    return RunDetails(
        run=run,
        kept=design.keep,
        fd_mm=measured.confounds.fd_mm,
        std_dvars=measured.confounds.std_dvars,
        repetition_time=design.tr_seconds,
        covered=result.covered,
        agreement=result.agreement,
        roi_coverage=result.roi_coverage,
        roi_r=result.roi_r,
        mean_bold=_mean_bold(run, design.keep, bundle, interpolation),
    )


def write_run_details(
    details: RunDetails, *, output: DerivativeDataset, bundle: ModelBundle, source: str
) -> Iterator[PurePosixPath]:
    """Write the files of a run that its report is drawn from; yield their paths."""
    entities = run_entities(details.run)
    on_grid = {**entities, **model_entities(bundle)}
    yield from _write_frames(details, entities, output)
    correlated = {**entities, "stat": "pearsoncorrelation"}
    path = build_path({**correlated, "desc": CONNECTOME}, "relmat", ".tsv")
    rois = [f"roi{number:02d}" for number in range(1, len(details.roi_r) + 1)]
    write_tsv(output.path(path), rois, [[f"{r:.6f}" for r in row] for row in details.roi_r])
    yield path

    common = _common_metadata(details.run, bundle, source)
    tissue = np.zeros(bundle.grid.shape, np.uint8)
    tissue[bundle.brain_mask] = 3
    tissue[bundle.mask] = np.where(details.covered, 1, 2)
    yield from _write_volume(
        tissue,
        1.0,
        {**on_grid, "desc": COVERAGE},
        "dseg",
        {
            "Description": "Where the model reads, and whether the run has signal there",
            **common,
            "Labels": TISSUE_LABELS,
            "RoiCoverage": [round(float(share), 4) for share in details.roi_coverage],
        },
        output=output,
        grid=bundle.grid,
    )
    agreement = np.zeros(bundle.grid.shape, np.int16)
    agreement[bundle.mask] = np.rint(details.agreement / _STORED_R)
    yield from _write_volume(
        agreement,
        _STORED_R,
        {**on_grid, "desc": HALVES},
        "qc",
        {
            "Description": "Correlation, over ROIs, of the connectomes of the two halves of the "
            "run (alternate pieces of it)",
            **common,
        },
        output=output,
        grid=bundle.grid,
    )
    if details.mean_bold is not None:
        slope = max(float(details.mean_bold.max()), 1e-12) / np.iinfo(np.int16).max
        yield from _write_volume(
            np.rint(np.maximum(details.mean_bold, 0) / slope).astype(np.int16),
            slope,
            on_grid,
            "boldref",
            {"Description": f"Mean of the first {_MEAN_OVER} frames that were kept", **common},
            output=output,
            grid=bundle.grid,
        )


def _write_frames(
    details: RunDetails, entities: dict[str, str], output: DerivativeDataset
) -> Iterator[PurePosixPath]:
    columns = {"framewise_displacement": details.fd_mm, "std_dvars": details.std_dvars}
    rounded = {
        name: [None] * len(details.kept) if values is None else [*map(_rounded, values)]
        for name, values in columns.items()
    }
    rows = zip(*rounded.values(), details.kept.astype(int), strict=True)
    path = build_path({**entities, "desc": FRAMES}, "timeseries", ".tsv")
    write_tsv(output.path(path), list(_FRAME_COLUMNS), rows)
    yield path
    path = path.with_suffix(".json")
    content = {"SamplingFrequency": 1 / details.repetition_time, "StartTime": 0, **_FRAME_COLUMNS}
    write_json(output.path(path), content)
    yield path


def _rounded(value: float) -> str | None:
    return f"{value:.4f}" if np.isfinite(value) else None


def _write_volume(
    volume: NDArray[np.integer],
    slope: float,
    entities: dict[str, str | None],
    suffix: str,
    sidecar: dict[str, Any],
    *,
    output: DerivativeDataset,
    grid: Grid,
) -> Iterator[PurePosixPath]:
    path = build_path(entities, suffix, ".nii.gz")
    image = encode_integers(
        volume, grid, slope=slope, description=f"bids_dtg {entities.get('desc') or ''}"
    )
    output.write(path, image)
    yield path
    path = build_path(entities, suffix, ".json")
    write_json(output.path(path), sidecar)
    yield path


def _common_metadata(run: RestRun, bundle: ModelBundle, source: str) -> dict[str, Any]:
    return {
        "Sources": [bids_uri(source, run.bold.relative_to(run.root).as_posix())],
        **on_grid_metadata(bundle),
    }


def _mean_bold(
    run: RestRun, kept: NDArray[np.bool_], bundle: ModelBundle, interpolation: Interpolation
) -> NDArray[np.float32] | None:
    """Average the first kept frames over the whole grid, what lies outside the brain included."""
    grid = bundle.grid
    total, count = np.zeros(int(np.prod(grid.shape))), 0
    try:
        header = read_bold_header(run.bold)
        placement = Placement.through(grid, np.arange(len(total)), run.transforms)
        sampling, _ = placement.in_file(header, interpolation)
        with closing(stream_voxels(header, sampling, _MEAN_OVER)) as blocks:
            for first, block in blocks:
                used = block[kept[first : first + len(block)]]
                total += np.nan_to_num(used, posinf=0.0, neginf=0.0).sum(axis=0)
                count += len(used)
                if count >= _MEAN_OVER:
                    break
    except RunError:
        return None  # only a picture; what must be told of the file has been told
    mean: NDArray[np.float32] = (total / max(count, 1)).astype(np.float32).reshape(grid.shape)
    return mean
