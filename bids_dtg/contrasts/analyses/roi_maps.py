"""ROI maps of a model to be trained: taken from another model, or made from people's rest."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bids_dtg.array_types import Float64, Floats
from bids_dtg.bundles.card import ModelCard
from bids_dtg.connectome.design import SECONDS_PER_SEGMENT
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.bundle.arrays import geometry_files
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import MapsKind
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.errors import DatasetError, DtgError, RunError
from bids_dtg.files.regions import segment_label
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.parcel_series import read_series_header
from bids_dtg.inputs.run import PARCELS, RestRun
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.notices import counted
from bids_dtg.participants.request import DatasetRequest
from bids_dtg.stats.linear import VOXELS_A_COEFFICIENT

# Limits of the residual of a combined map, as shares of the map's root mean square and maximum.
_RMS_RESIDUAL, _MOST_RESIDUAL = 1e-5, 1e-4
_DEPENDENT = 1e-10  # an eigenvalue below this share of the largest is rounding error
_PLACES = 4096  # voxels per part
_STRIDE = 8  # one part in this many is used to find the combinations


def sets_that_fit(sets: Sequence[int], places: int) -> tuple[int, ...]:
    """Return the sets of ROI maps that are small enough for the voxels, or else one that is.

    Examples
    --------
    >>> sets_that_fit((15, 25, 50), 60), sets_that_fit((15, 25), 12)
    ((15, 25), (5,))
    """
    most = int(places / VOXELS_A_COEFFICIENT) - 1
    return tuple(rois for rois in sets if rois <= most) or (most,)


def maps_in_words(sets: Sequence[int]) -> str:
    """Count ROI maps and their sets.

    Examples
    --------
    >>> maps_in_words((4,)), maps_in_words((15, 25))
    ('4 ROI maps', '40 ROI maps in sets of 15 and 25')
    """
    counts = counted(sum(sets), "ROI map")
    if len(sets) < 2:
        return counts
    *first, last = map(str, sets)
    return f"{counts} in sets of {', '.join(first)} and {last}"


def _first_series(request: DatasetRequest) -> tuple[RestRun, ParcelPlaces]:
    """Return the first run whose series of parcels can be read, and the parcels.

    Raises
    ------
    DatasetError
        Nobody has one.
    """
    failures: list[DtgError] = []
    rule = SpaceRule(model=PARCELS, requested=request.settings.inputs.space)
    for participant in request.participants:
        try:
            run = find_runs(
                request.dataset.root,
                participant,
                request.selection,
                rule=rule,
                input_type=request.dataset.input_type,
            )[0]
            places = read_series_header(run.bold).places
            if places is None or places.axis is None:
                raise RunError(
                    f"{run.bold} has no parcels of its own", expected=".ptseries.nii"
                )
        except DtgError as err:
            failures.append(err)
        else:
            return run, places
    raise DatasetError(
        f"nobody in {request.dataset.root} has a series in {rule.requested}: "
        f"{failures[0].found}",
        expected=failures[0].expected,
        remedy=failures[0].remedy,
    )


def parcel_template(kind: MapsKind, request: DatasetRequest) -> ModelBundle:
    """Return a model of parcels without weights, whose ROI maps are still to be made.

    The parcels, and the label of their atlas, are those of the first series that can be read.

    Raises
    ------
    DatasetError
        Nobody has a series that can be read.
    """
    run, places = _first_series(request)
    labels = re.findall("(?:atlas|seg)-([0-9A-Za-z]+)", run.bold.name)
    places = dataclasses.replace(places, atlas=segment_label(*labels))
    sets = sets_that_fit(kind.sets, places.number)
    form = Form(kind.connectome, sets if len(sets) > 1 else ())
    part = MapsPart(
        (),
        places=places.number,
        atlas=places.atlas,
        segment_seconds=kind.segment_seconds(SECONDS_PER_SEGMENT),
        connectome=form,
    )
    maps = np.zeros((sum(sets), places.number), np.float16 if form.sets else np.float32)
    words = f"parcels are those of {run.bold.name}"
    bundle = ModelBundle(
        path=request.output.root / "group",
        card=ModelCard("parcels", "1", kind.name, part, description=words),
        identity="",
        brain=places,
        places=places,
        roi_maps=maps,
    )
    return _with_digests(bundle)


def _with_digests(bundle: ModelBundle, *, mapped: bool = False) -> ModelBundle:
    """Return a model without weights with the digests of its files, as if it were written."""
    geometry = bundle.brain, bundle.places, bundle.roi_maps, bundle.combine
    files = geometry_files(geometry, mapped=mapped)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    card = dataclasses.replace(bundle.card, files=digests)
    identity = hashlib.sha256(card.to_json().encode()).hexdigest()
    return dataclasses.replace(bundle, card=card, identity=identity)


def with_roi_maps(
    base: ModelBundle,
    maps: Floats,
    sets: Sequence[int],
    records: Sequence[Mapping[str, Any]],
) -> ModelBundle:
    """Return a model to be trained, with ROI maps (of all sets, voxels) made for it."""
    part, several = base.part, len(sets) > 1
    form = dataclasses.replace(part.connectome, sets=tuple(sets) if several else ())
    combine = None
    if several:
        combined = combination(maps, sets) if part.grid is not None else None
        if combined is not None:
            largest_set, weights = combined
            maps, combine = maps[largest_set], weights.astype(np.float32)
        maps = maps.astype(np.float16)  # as stored
    elif part.grid is not None:
        # A file of one set holds maps of the whole brain.
        volumes = np.stack([base.voxels.volume(roi_map) for roi_map in maps])
        maps = volumes[:, base.brain_voxels.mask]
    card = dataclasses.replace(
        base.card,
        part=dataclasses.replace(part, connectome=form),
        record={"roi_maps": records if several else records[0]},
    )
    bundle = dataclasses.replace(base, card=card, roi_maps=maps, combine=combine)
    return _with_digests(bundle, mapped=several)


def combination(maps: Floats, sets: Sequence[int]) -> tuple[slice, Float64] | None:
    """Express all sets of ROI maps as linear combinations of the largest set, if possible.

    Spatial ICA with more components rotates more of the same principal components. So the maps of
    a smaller set are combinations of the largest set's, and sums over a run are needed only for
    the largest set.

    Parameters
    ----------
    maps
        (rois, voxels), one set after the other.
    sets
        Numbers of ROIs in the sets.

    Returns
    -------
    Rows of the largest set, and the weights (rois, rois of that set) that give all maps up to
    rounding. None if there are no such weights, or only one set.

    Examples
    --------
    >>> maps = np.random.default_rng(0).standard_normal((3, 50))
    >>> rows, combine = combination(np.vstack([maps[:1] - maps[2:], maps]), (1, 3))
    >>> rows, combine[0].round(6) + 0.0
    (slice(1, 4, None), array([ 1.,  0., -1.]))
    """
    if len(sets) < 2:
        return None
    largest = int(np.argmax(sets))
    first = sum(sets[:largest])
    rows = slice(first, first + sets[largest])
    products = np.zeros((len(maps), sets[largest]))
    for low in range(0, maps.shape[1], _STRIDE * _PLACES):
        part = maps[:, low : low + _PLACES].astype(np.float64)
        products += part @ part[rows].T
    combine: Float64 = products @ np.linalg.pinv(
        products[rows], rcond=_DEPENDENT, hermitian=True
    )
    combine[rows] = np.eye(sets[largest])
    return (rows, combine) if _are_combined(maps, rows, combine) else None


def _are_combined(maps: Floats, rows: slice, combine: Float64) -> bool:
    """Return whether the maps outside the largest set are its combinations up to rounding."""
    smaller = [
        number for number in range(len(maps)) if not rows.start <= number < rows.stop
    ]
    weights = combine[smaller].astype(np.float32)
    # Sums of squares and maxima over voxels, of each map and of its residual.
    squares, residual_squares, largest, largest_residual = np.zeros((4, len(smaller)))
    for low in range(0, maps.shape[1], _PLACES):
        part = maps[:, low : low + _PLACES].astype(np.float32, copy=False)
        values = part[smaller]
        residual = values - weights @ part[rows]
        squares += np.einsum("rv,rv->r", values, values)
        residual_squares += np.einsum("rv,rv->r", residual, residual)
        np.maximum(largest, np.abs(values, out=values).max(axis=1), out=largest)
        sizes = np.abs(residual, out=residual).max(axis=1)
        np.maximum(largest_residual, sizes, out=largest_residual)
    is_small = residual_squares <= _RMS_RESIDUAL**2 * squares
    has_no_peak = largest_residual <= _MOST_RESIDUAL * largest
    return bool(is_small.all() and has_no_peak.all())
