"""The small files of a model of maps besides its weights, and their fields in the card.

- offset: what re-centring adds to the maps
- calibration: how wide intervals around the maps are
- training distribution: the distribution of the connectomes that the model was trained on
- places: places without a grid: names, or parcels of CIFTI
- listed maps: the ROI maps over such places

Each is a safetensors file that is read with the shapes which the card says it has. Rows of
large arrays are kept in steps of 8 bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.tensors import check_names, decode_names, encode_names, read_tensors
from bids_dtg.connectome.training_distribution.distribution import (
    BEFORE_LEVEL,
    FIGURES,
    Basis,
    TrainingDistribution,
)
from bids_dtg.connectome.training_distribution.figure_statistics import FigureStatistics
from bids_dtg.errors import BundleError
from bids_dtg.files.tensors import TensorFile, encode_arrays, let_go
from bids_dtg.imaging.places import ListedPlaces, Places
from bids_dtg.imaging.surfaces.cifti import FAULTS
from bids_dtg.imaging.surfaces.parcel_places import ParcelPlaces
from bids_dtg.stats.conformal import Calibration, PooledError
from bids_dtg.stats.true_maps import TrueError
from bids_dtg.stats.width_factors import BINS, WidthFactors

OFFSET_FILE = "reference.safetensors"
CALIBRATION_FILE = "calibration.safetensors"
TRAINING_DISTRIBUTION_FILE = "training_range.safetensors"

# Names of tensors. The offset: (contrasts, voxels of the mask) int8, and the value of one unit of
# each contrast.
_OFFSET, _OFFSET_SCALE = "offset", "offset_scale"
_QUANTILES, _USUAL, _USUAL_SCALE = "quantiles", "usual_error", "usual_error_scale"
_MEASURED = "measured"  # people in each block; only if somebody lacks data
# Only if people had a second session; and factors on half-widths, only if these are known.
_TRUE, _TRUE_SCALE = "true_error", "true_error_scale"
_BY_DEVIATION, _BY_SEGMENTS = "by_deviation", "by_segments"
# The distribution of each measure, by amount of rest: tensors (see `FigureStatistics`), and numbers
# in the card.
_OF_FIGURES = ("centre", "sd", "growth", "between", "within")
_AMOUNTS = ("memory_s", "per_second", "reference", "lowest", "highest")
_COUNTED = ("degrees of freedom", "seconds")

_NAMES, _LISTED_MAPS, _COMBINE = "names", "roi_maps", "combine"
_PARCELS = "parcels"  # axes of a map of parcels, in CIFTI's XML
_PARTS, _VOXELS, _SHAPE, _AFFINE = "parts", "voxels", "shape", "affine"
_VERTICES = {"L": "left_vertices", "R": "right_vertices"}
_REMEDY = "fetch or make the bundle again"
_LARGEST_STEP = 127  # of int8


def encode_offset(offset: NDArray[np.float32]) -> bytes:
    """Encode a re-centring offset, (contrasts, voxels), as the file's bytes (deterministic).

    A contrast's largest value becomes 127: what is lost is at most half of a 127th of it.
    """
    steps, scale = to_steps(offset)
    return safetensors.numpy.save({_OFFSET: steps, _OFFSET_SCALE: scale})


def read_offset(path: Path, contrasts: int, voxels: int) -> NDArray[np.float32]:
    """Read a re-centring offset, (contrasts, voxels).

    Raises
    ------
    BundleError
        If the file is damaged or holds something else.
    """
    expected = {_OFFSET: ("int8", (contrasts, voxels)), _OFFSET_SCALE: ("float32", (contrasts,))}
    return _rows(path, read_tensors(path, expected), _OFFSET)


def encode_calibration(calibration: Calibration) -> bytes:
    """Encode a calibration as the file's bytes (deterministic)."""
    steps, scale = to_steps(calibration.pooled_error.values)
    # With a step of 0 the interval would have no width.
    tensors = {_QUANTILES: calibration.quantiles, _USUAL: np.maximum(steps, 1), _USUAL_SCALE: scale}
    if calibration.measured is not None:
        tensors[_MEASURED] = calibration.measured
    if calibration.true_error is not None:
        steps, scale = to_steps(calibration.true_error.values)
        tensors |= {_TRUE: np.maximum(steps, 1), _TRUE_SCALE: scale}
    if (factors := calibration.factors) is not None:
        tensors[_BY_DEVIATION] = factors.by_deviation.astype(np.float32)
        tensors[_BY_SEGMENTS] = factors.by_segments.astype(np.float32)
    return safetensors.numpy.save(tensors)


def calibration_facts(calibration: Calibration) -> dict[str, Any]:
    """Return the field `calibration` of a card."""
    return {
        "participants": calibration.participants,
        "segments": calibration.segments,
        "levels": list(calibration.levels),
        "block": calibration.pooled_error.lattice.edge,
        **({"retest": calibration.true_error.people} if calibration.true_error else {}),
        **({"factors": calibration.factors.segments} if calibration.factors else {}),
        **({"left_out_in_turn": True} if calibration.left_out_in_turn else {}),
        **({"cleaning": calibration.cleaning} if calibration.cleaning else {}),
        **({"minutes": round(minutes, 2)} if math.isfinite(minutes := calibration.minutes) else {}),
        **({"residual_dof": round(dof, 1)} if (dof := calibration.residual_dof) > 0 else {}),
    }


def read_calibration(
    folder: Path, facts: Mapping[str, Any], places: Places, contrasts: int
) -> Calibration:
    """Read the calibration that a card's field `calibration` describes.

    Raises
    ------
    BundleError
        If the field or the file is not what it should be.
    """
    path = folder / CALIBRATION_FILE
    fields = JsonFields(facts, str(folder / "model.json"), "calibration.")
    participants, segments = fields.whole("participants"), fields.whole("segments")
    edge, levels = fields.whole("block"), fields.value("levels")
    retest, of_segments = (
        None if fields.absent(name) else fields.size(name) for name in ("retest", "factors")
    )
    cleaning = "" if fields.absent("cleaning") else fields.text("cleaning")
    minutes, dof = (
        math.nan if fields.absent(name) else fields.positive(name)
        for name in ("minutes", "residual_dof")
    )
    in_turn = not fields.absent("left_out_in_turn") and fields.flag("left_out_in_turn")
    fields.refuse_unknown()
    if not isinstance(levels, list) or not all(type(level) is int for level in levels):
        raise fields.wrong("levels", levels, "whole numbers of percent")
    lattice = places.lattice(edge)
    blocks, per_contrast = (contrasts, *lattice.shape), (contrasts,)
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        _QUANTILES: ("float32", (contrasts, len(levels))),
        _USUAL: ("int8", blocks),
        _USUAL_SCALE: ("float32", per_contrast),
    }
    if retest is not None:
        expected |= {_TRUE: ("int8", blocks), _TRUE_SCALE: ("float32", per_contrast)}
    if of_segments is not None:
        expected[_BY_DEVIATION] = ("float32", (2, BINS))
        expected[_BY_SEGMENTS] = ("float32", (2, of_segments))
    tensors = read_tensors(path, expected, optional={_MEASURED: ("int32", blocks)})
    try:
        return Calibration(
            participants,
            segments,
            tuple(levels),
            tensors[_QUANTILES],
            PooledError(_rows(path, tensors, _USUAL), lattice),
            tensors.get(_MEASURED),
            None if retest is None else TrueError(_rows(path, tensors, _TRUE), lattice, retest),
            None
            if of_segments is None
            else WidthFactors(tensors[_BY_DEVIATION], tensors[_BY_SEGMENTS]),
            cleaning,
            minutes,
            dof,
            in_turn,
        )
    except ValueError as err:
        raise BundleError(f"{path}: {err}", remedy=_REMEDY) from err


def encode_training_distribution(training: TrainingDistribution) -> bytes:
    """Encode the training distribution as the file's bytes (deterministic)."""
    basis = training.basis
    mean, mean_scale = to_steps(basis.mean)
    components, components_scale = to_steps(basis.components)
    tensors = {
        "mean": mean,
        "mean_scale": mean_scale,
        "components": components,
        "components_scale": components_scale,
        "variances": basis.variances,
        **{name: getattr(training.statistics, name) for name in _OF_FIGURES},
    }
    return safetensors.numpy.save({name: np.ascontiguousarray(t) for name, t in tensors.items()})


def training_distribution_facts(training: TrainingDistribution) -> dict[str, Any]:
    """Return the field `reference` of a card."""
    return {
        "participants": training.basis.participants,
        "held_out": training.participants,
        "figures": list(training.figures),
        "rois": training.basis.mean.shape[0],
        "cells": training.basis.mean.shape[1],
        "components": len(training.basis.components),
        "block": training.edge,
        "counted": _COUNTED[training.statistics.by_time],
        **{name: float(f"{getattr(training.statistics, name):.6g}") for name in _AMOUNTS},
        "unusual": round(training.unusual, 4),
        "outside": round(training.outside, 4),
    }


def read_training_distribution(folder: Path, facts: Mapping[str, Any]) -> TrainingDistribution:
    """Read the training distribution that a card's field `reference` describes.

    Raises
    ------
    BundleError
        If the field or the file is not valid, or is of an earlier version that knows segments
        of one length only.
    """
    path = folder / TRAINING_DISTRIBUTION_FILE
    fields = JsonFields(facts, str(folder / "model.json"), "reference.")
    rois, blocks, n = (fields.whole(name) for name in ("rois", "cells", "components"))
    participants, held_out = fields.whole("participants"), fields.whole("held_out")
    edge, figures = fields.whole("block"), fields.value("figures")
    if fields.absent("counted"):
        raise BundleError(
            f"{path} is of an earlier version: it knows runs of one length only",
            remedy=_REMEDY,
        )
    counted = fields.value("counted")
    if counted not in _COUNTED:
        raise fields.wrong("counted", counted, " or ".join(_COUNTED))
    amounts: dict[str, Any] = {name: fields.positive(name) for name in _AMOUNTS}
    unusual, outside = fields.positive("unusual"), fields.positive("outside")
    fields.refuse_unknown()
    if figures not in (list(FIGURES), list(BEFORE_LEVEL)):
        raise fields.wrong("figures", figures, ", ".join(FIGURES))
    size = len(figures)
    tensors = read_tensors(
        path,
        {
            "mean": ("int8", (rois, blocks)),
            "mean_scale": ("float32", (rois,)),
            "components": ("int8", (n, rois, blocks)),
            "components_scale": ("float32", (n,)),
            "variances": ("float32", (n,)),
            "centre": ("float64", (3, size)),
            **dict.fromkeys(("sd", "growth"), ("float64", (size,))),
            **dict.fromkeys(("between", "within"), ("float64", (size, size))),
        },
    )
    definite = (
        _least_variance(tensors["between"]) > 0 and _least_variance(tensors["within"]) > -1e-9
    )
    if not definite or (tensors["variances"] <= 0).any() or (tensors["sd"] <= 0).any():
        raise BundleError(f"{path} has variances that are not above 0")
    basis = Basis(
        _rows(path, tensors, "mean"),
        _rows(path, tensors, "components"),
        tensors["variances"],
        participants,
    )
    of_figures: dict[str, Any] = {name: tensors[name] for name in _OF_FIGURES}
    statistics = FigureStatistics(by_time=counted == _COUNTED[1], **amounts, **of_figures)
    return TrainingDistribution(basis, edge, held_out, statistics, unusual, outside)


def encode_parcels(places: ParcelPlaces) -> bytes:
    """Encode parcels of CIFTI as the file's bytes (deterministic)."""
    return encode_arrays({_PARCELS: np.frombuffer(places.to_xml(), np.uint8)})


def read_parcels(path: Path, number: int) -> ParcelPlaces:
    """Read so many parcels of CIFTI.

    Raises
    ------
    BundleError
        If the file is damaged or holds something else.
    """
    file = TensorFile(path)
    (size,) = file.shape(_PARCELS, axes=1)
    xml = read_tensors(path, {_PARCELS: ("uint8", (size,))})[_PARCELS].tobytes()
    try:
        places = ParcelPlaces.of_xml(xml)
    except FAULTS as err:
        raise BundleError(f"{path}: its parcels cannot be read: {err}", remedy=_REMEDY) from err
    if places.number != number:
        raise BundleError(f"{path} has {places.number} parcels", expected=f"{number}")
    return places


def encode_places(places: ListedPlaces) -> bytes:
    """Encode places that have names as the file's bytes (deterministic)."""
    return encode_arrays({_NAMES: encode_names(places.names)})


def read_places(path: Path, number: int) -> ListedPlaces:
    """Read so many places that have names.

    Raises
    ------
    BundleError
        If the file is damaged or holds something else.
    """
    file = TensorFile(path)
    check_names(file, _NAMES, number)
    tensors = file.read()
    names = tensors.pop(_NAMES)
    if tensors or names.dtype != np.uint8:
        raise BundleError(f"{path} holds other tensors than names")
    try:
        return ListedPlaces(decode_names(names, number))
    except ValueError as err:
        raise BundleError(f"{path}: {err}", remedy=_REMEDY) from err


def encode_listed_maps(
    roi_maps: NDArray[np.floating], combine: NDArray[np.floating] | None = None
) -> bytes:
    """Encode ROI maps (rois, places), and what combines them (rois, maps), as the file's bytes."""
    return encode_arrays(
        {_LISTED_MAPS: roi_maps} | ({} if combine is None else {_COMBINE: combine})
    )


def read_combine(path: Path, rois: int) -> NDArray[np.float32] | None:
    """Read how maps of so many ROIs are combinations of those in the file; None: they are not.

    Raises
    ------
    BundleError
        If the file is damaged or holds something else.
    """
    if _COMBINE not in TensorFile(path).names():
        return None
    combine = TensorFile(path).below(_COMBINE).read()[""]
    if combine.dtype != np.float32 or combine.ndim != 2 or len(combine) != rois:
        raise BundleError(
            f"{path} has combinations {combine.dtype} {combine.shape}",
            expected=f"float32 of {rois} ROIs",
            remedy=_REMEDY,
        )
    return combine


def read_listed_maps(
    path: Path, rois: int, places: int, *, several: bool = False
) -> NDArray[np.floating]:
    """Read ROI maps (rois, places); all are 0 if the model reads connectomes made elsewhere.

    Parameters
    ----------
    path
        Path of the file.
    rois, places
        Numbers of them.
    several
        Whether they are of several sets: these are of 16 bits, and mapped from the file.

    Raises
    ------
    BundleError
        If the file is damaged or holds something else.
    """
    if (found := TensorFile(path).shape(_LISTED_MAPS, axes=2)) != (rois, places):
        raise BundleError(f"{path} has ROI maps {found}", expected=f"{(rois, places)}")
    if several:
        mapped = TensorFile(path).mapped(_LISTED_MAPS)
        if mapped.dtype != np.float16 or not np.isfinite(mapped).all():
            raise BundleError(
                f"{path} has ROI maps of {mapped.dtype}, or values that are not finite",
                expected="finite numbers of 16 bits",
                remedy=_REMEDY,
            )
        let_go(mapped)
        return mapped
    return read_tensors(path, {_LISTED_MAPS: ("float32", (rois, places))})[_LISTED_MAPS]


def _least_variance(covariance: NDArray[np.float64]) -> float:
    """Return the least eigenvalue; NaN if it cannot be computed, e.g. after overflow."""
    try:
        with np.errstate(over="ignore"):
            symmetric = (covariance + covariance.T) / 2
        return float(np.linalg.eigvalsh(symmetric).min())
    except np.linalg.LinAlgError:
        return float("nan")


def to_steps(rows: NDArray[np.floating]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round rows (n, ...) to int8 steps; also return the step of each row, (n,).

    A row's largest value becomes 127: what is lost is at most half of a 127th of it.
    """
    largest = np.abs(rows).reshape(len(rows), -1).max(axis=1)
    scale = np.where(largest > 0, largest, 1.0).astype(np.float32) / np.float32(_LARGEST_STEP)
    steps = np.rint(rows / scale.reshape(-1, *[1] * (rows.ndim - 1)))
    return steps.astype(np.int8), scale


def from_steps(steps: NDArray[np.int8], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows that `to_steps` rounded."""
    rows = steps.astype(np.float32)
    rows *= scale.reshape(-1, *[1] * (steps.ndim - 1))
    return rows


def _rows(path: Path, tensors: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    """Return the rows of a tensor of steps, by its scale ``NAME_scale``.

    Raises
    ------
    BundleError
        They are too large for floats of 32 bits.
    """
    with np.errstate(over="ignore"):
        rows = from_steps(tensors[name], tensors[f"{name}_scale"])
    if not np.isfinite(rows).all():
        raise BundleError(
            f"{path} has values that are not finite in {name}, by its {name}_scale",
            remedy=_REMEDY,
        )
    return rows
