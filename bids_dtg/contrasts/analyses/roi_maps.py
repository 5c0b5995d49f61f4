"""ROI maps of a model that is trained: those of a model, or made from people's rest."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.card import ModelCard
from bids_dtg.connectome.design import SECONDS_PER_SEGMENT
from bids_dtg.connectome.form import Form
from bids_dtg.connectome.nested_sets import combination
from bids_dtg.contrasts.bundle.arrays import geometry_files
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import MapsKind
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.errors import DatasetError, DtgError, SettingsError
from bids_dtg.imaging.surfaces.parcel_places import read_series_header
from bids_dtg.inputs.find import find_input_runs
from bids_dtg.inputs.selection import PARCELS
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.notices import counted
from bids_dtg.participants.request import Asked
from bids_dtg.stats.linear import VOXELS_A_COEFFICIENT


def sets_that_fit(sets: Sequence[int], places: int) -> tuple[int, ...]:
    """Return the sets of ROI maps that so many places are enough for, or else as many as are.

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


def parcel_template(kind: MapsKind, asked: Asked) -> ModelBundle:
    """Return a model of parcels without weights, whose ROI maps are still to be made.

    The parcels are those of the first series that can be read.

    Raises
    ------
    DatasetError
        Nobody has one, or the kind makes no ROI maps.
    """
    failures: list[DtgError] = []
    rule = SpaceRule(model=PARCELS, asked=asked.settings.inputs.space)
    for participant in asked.participants:
        try:
            run = find_input_runs(asked.dataset, participant, asked.selection, rule=rule)[0]
            places = read_series_header(run.bold).places
            break
        except DtgError as err:
            failures.append(err)
    else:
        raise DatasetError(
            f"nobody in {asked.dataset.root} has a series in {rule.asked}: {failures[0].found}",
            expected=failures[0].expected,
            remedy=failures[0].remedy,
        )
    if not kind.sets:
        raise SettingsError(
            f"a {kind.name} model of {places.density} has no ROI maps",
            expected="--architecture linear, or a --model of such places that has some",
        )
    sets = sets_that_fit(kind.sets, places.number)
    form = Form(kind.connectome, sets if len(sets) > 1 else ())
    part = MapsPart(
        (),
        places=places.number,
        parcels=True,
        segment_seconds=kind.segment_seconds(SECONDS_PER_SEGMENT),
        connectome=form,
    )
    maps = np.zeros((sum(sets), places.number), np.float16 if form.sets else np.float32)
    files = geometry_files((places, places, maps, None))
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    words = f"places are those of {run.bold.name}"
    card = ModelCard("parcels", "1", kind.name, part, description=words, files=digests)
    identity = hashlib.sha256(card.to_json().encode()).hexdigest()
    return ModelBundle(asked.output.root / "group", card, identity, places, places, maps)


def with_roi_maps(
    base: ModelBundle,
    maps: NDArray[np.floating],
    sets: Sequence[int],
    records: Sequence[Mapping[str, Any]],
) -> ModelBundle:
    """Return a model that is to be trained with ROI maps (of all sets, places) made for it."""
    several, combine = len(sets) > 1, None
    form = dataclasses.replace(base.card.part.connectome, sets=tuple(sets) if several else ())
    if several:
        if base.card.part.grid is not None and (found := combination(maps, sets)):
            maps, combine = maps[found[0]], found[1].astype(np.float32)
        maps = maps.astype(np.float16)  # as kept
    elif base.card.part.grid is not None:
        # Over the brain, as the file of one set has them.
        volumes = np.stack([base.voxels.volume(own) for own in maps])
        maps = volumes[:, base.brain_voxels.mask]
    files = geometry_files((base.brain, base.places, maps, combine), several=several)
    card = dataclasses.replace(
        base.card,
        part=dataclasses.replace(base.card.part, connectome=form),
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        record={"roi_maps": records if several else records[0]},
    )
    identity = hashlib.sha256(card.to_json().encode()).hexdigest()
    return dataclasses.replace(base, card=card, identity=identity, roi_maps=maps, combine=combine)
