"""What a page shows of one run: registration, motion, coverage, connectome, reliability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import read_json, read_rows
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.report.charts import WIDTH, Histogram, Span, Trace, dropped_spans, histogram, trace
from bids_dtg.report.colours import AMOUNT, SIGNED
from bids_dtg.report.contents import RunFiles, sidecar_of
from bids_dtg.report.flags import number
from bids_dtg.report.pages.page import link
from bids_dtg.report.pictures import (
    MAP_VIEWS,
    PICTURE,
    Backdrop,
    draw_grey,
    draw_matrix,
    draw_outlines,
    encode,
)
from bids_dtg.report.slices import AXIAL, CORONAL, SAGITTAL, Box, View, Volume, template

_REGISTRATION = (
    tuple(View(AXIAL, mm) for mm in (-40, -20, 0, 20, 40, 60)),
    tuple(View(SAGITTAL, mm) for mm in (-50, -25, -4, 25, 50)),
    tuple(View(CORONAL, mm) for mm in (-80, -58, -34, -10, 14, 40)),
)
_BRAIN, _GREY = (255, 90, 77), (82, 214, 255)
_WITH_SIGNAL, _WITHOUT = (47, 165, 142), (224, 57, 46)
_FEW_ROIS = 4
_HISTOGRAM = (420.0, 120.0)


@dataclass(frozen=True)
class RunPanels:
    """One run on a page; what its files do not tell is None."""

    title: str
    anchor: str
    quality: Mapping[str, str]
    registration: Mapping[str, Any] | None = None
    traces: tuple[Trace, ...] = ()
    dropped: tuple[Span, ...] = ()
    minutes: tuple[tuple[float, str], ...] = ()
    censoring: str = ""
    coverage: Mapping[str, str] | None = None
    relmat: Mapping[str, str] | None = None
    halves: Mapping[str, Any] | None = None
    missing: str = ""  # sentence on what is not shown, and why


class RunDrawer:
    """Draws the panels of a participant's runs."""

    def __init__(self, dataset: DerivativeDataset, folder: Path) -> None:
        self._dataset, self._folder = dataset, folder
        self.files: list[Path] = []

    def draw(self, run: RunFiles, fd_threshold: float | None, anchor: str) -> RunPanels:
        """Draw one run.

        Parameters
        ----------
        run
            Its files.
        fd_threshold
            Framewise displacement above which frames were censored; None where none were.
        anchor
            Of its part of the page.

        Raises
        ------
        RunError
            An image cannot be read.
        """
        traces, dropped, minutes = self._traces(run, fd_threshold)
        there = (run.boldref, run.coverage, run.frames, run.relmat, run.halves)
        return RunPanels(
            title=run.title,
            anchor=anchor,
            quality=run.quality,
            registration=self._registration(run),
            traces=traces,
            dropped=dropped,
            minutes=minutes,
            censoring=_censoring(run, fd_threshold),
            coverage=self._coverage(run),
            relmat=self._relmat(run),
            halves=self._halves(run),
            missing=""
            if all(there)
            else "Some figures are missing: this run was processed by a version of the program, "
            "or with options, that did not keep what they are drawn from.",
        )

    def _registration(self, run: RunFiles) -> Mapping[str, Any] | None:
        if run.boldref is None or run.coverage is None:
            return None
        bold, labels = _volume(run.boldref), _volume(run.coverage)
        box = Box.around(_grid(bold))
        below = self._write(run, "registration", encode(draw_grey(bold, box, _REGISTRATION)))
        regions = [
            (_soft(labels, labels.values > 0), _BRAIN),
            (_soft(labels, np.isin(labels.values, (1, 2))), _GREY),
        ]
        outlines = draw_outlines(regions[::-1], box, _REGISTRATION)
        where = "; ".join(
            f"{'xyz'[views[0].axis]} = " + ", ".join(f"{v.mm:g}" for v in views)
            for views in _REGISTRATION
        ).replace("-", "\N{MINUS SIGN}")
        return {
            "below": below,
            "above": self._write(run, "outlines", encode(outlines, lossless=True)),
            "slices": sum(map(len, _REGISTRATION)),
            "where": f"{where} mm",
        }

    def _traces(
        self, run: RunFiles, fd_threshold: float | None
    ) -> tuple[tuple[Trace, ...], tuple[Span, ...], tuple[tuple[float, str], ...]]:
        rows = read_rows(run.frames) if run.frames else []
        if not rows:
            return (), (), ()
        columns = {
            name: np.array([_float(row.get(name)) for row in rows])
            for name in ("framewise_displacement", "std_dvars")
        }
        made = (
            ("framewise_displacement", "Framewise displacement", "mm", fd_threshold),
            ("std_dvars", "Standardised DVARS", "", None),
        )
        traces = tuple(
            trace(columns[name], title=title, unit=unit, threshold=threshold)
            for name, title, unit, threshold in made
            if np.isfinite(columns[name]).any()
        )
        kept = np.array([row.get("kept") == "1" for row in rows])
        seconds = len(rows) * (number(run.quality.get("repetition_time")) or 0)
        return traces, dropped_spans(kept), _minutes(seconds)

    def _coverage(self, run: RunFiles) -> Mapping[str, str] | None:
        if run.coverage is None:
            return None
        labels = _volume(run.coverage)
        backdrop = Backdrop(template(), Box.around(_grid(labels)), MAP_VIEWS)
        pixels = backdrop.draw_labels(labels, {1: _WITH_SIGNAL, 2: _WITHOUT})
        grey = int(np.isin(labels.values, (1, 2)).sum())
        share = float((labels.values == 1).sum()) / max(grey, 1)
        text = f"{share:.1%} of the model's {grey:,} grey-matter voxels have signal."
        rois = read_json(sidecar_of(run.coverage)).get("RoiCoverage")
        if isinstance(rois, list) and rois:
            worst = sorted(enumerate(map(float, rois), 1), key=lambda item: item[1])[:_FEW_ROIS]
            if worst[0][1] < 1:
                told = ", ".join(f"{value:.0%} (ROI {roi})" for roi, value in worst)
                text += f" The ROI maps with the least of their weight on signal: {told}."
            else:
                text += f" All {len(rois)} ROI maps lie on signal."
        return {
            "picture": self._write(run, "coverage", encode(pixels)),
            "alt": f"Coverage: {share:.1%}",
            "caption": text,
        }

    def _relmat(self, run: RunFiles) -> Mapping[str, str] | None:
        rows = read_rows(run.relmat) if run.relmat else []
        matrix = np.array([[_float(value) for value in row.values()] for row in rows])
        if matrix.ndim != 2 or not matrix.size:
            return None
        others = matrix[~np.eye(len(matrix), dtype=bool)] if len(matrix) > 1 else matrix
        return {
            "picture": self._write(run, "connectome", draw_matrix(matrix, SIGNED, -1, 1)),
            "alt": f"Correlations between {len(matrix)} ROI series",
            "caption": f"Pearson correlation between the cleaned series of {len(matrix)} ROIs; "
            f"mean {others.mean():.2f}, standard deviation {others.std():.2f}.",
        }

    def _halves(self, run: RunFiles) -> Mapping[str, Any] | None:
        if run.halves is None or run.coverage is None:
            return None
        agreement, labels = _volume(run.halves), _volume(run.coverage)
        covered = labels.values == 1
        values = agreement.values[covered]
        if not values.size:
            return None
        backdrop = Backdrop(template(), Box.around(_grid(agreement)), MAP_VIEWS)
        where = Volume(covered.astype(np.float32), agreement.affine)
        pixels = backdrop.draw_amount(agreement, where, 0.0, 1.0, AMOUNT)
        median = float(np.median(values))
        chart: Histogram = histogram(
            values, min(-0.2, float(values.min())), 1.0, width=_HISTOGRAM[0], height=_HISTOGRAM[1]
        )
        return {
            "picture": self._write(run, "reliability", encode(pixels)),
            "histogram": chart,
            "alt": f"Agreement of the two halves, median {median:.2f}",
            "caption": "How well the connectomes of the two halves of the run agree: correlation "
            f"over ROIs at each grey-matter voxel, median {median:.2f}, a tenth below "
            f"{np.quantile(values, 0.1):.2f}.",
        }

    def _write(self, run: RunFiles, what: str, data: bytes) -> str:
        path = self._folder / f"{run.title}_{what}{PICTURE}"
        write_atomic(self._dataset.path(path.relative_to(self._dataset.root).as_posix()), data)
        self.files.append(path)
        return link(path, self._dataset)


def _censoring(run: RunFiles, fd_threshold: float | None) -> str:
    frames, kept = (number(run.quality.get(name)) for name in ("frames", "frames_kept"))
    told = ""
    if frames and kept is not None:
        told = f"{kept:.0f} of {frames:.0f} frames were kept; "
        told += "the shaded ones were not." if kept < frames else "none was left out."
    line = " The dashed line is the threshold of censoring." if fd_threshold else ""
    return f"Over minutes of the run. {told}{line}"


def _minutes(seconds: float) -> tuple[tuple[float, str], ...]:
    minutes = seconds / 60
    if minutes <= 0:
        return ()
    step = next((s for s in (0.5, 1, 2, 5, 10, 20) if minutes / s <= 12), 60)
    return tuple(
        (WIDTH * minute / minutes, f"{minute:g}") for minute in np.arange(0, minutes + 1e-9, step)
    )


def _volume(path: Path) -> Volume:
    values, affine = read_volume(path)
    return Volume(np.nan_to_num(np.asarray(values, np.float32)), affine)


def _grid(volume: Volume) -> Grid:
    i, j, k = volume.values.shape
    return Grid((i, j, k), volume.affine)


def _soft(labels: Volume, region: NDArray[np.bool_]) -> Volume:
    from scipy.ndimage import gaussian_filter

    # Without it, outlines are stairs of voxels.
    return Volume(gaussian_filter(region.astype(np.float32), 0.7), labels.affine)


def _float(text: str | None) -> float:
    value = number(text)
    return float("nan") if value is None else value
