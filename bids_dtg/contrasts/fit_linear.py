"""Fit the linear model to arrays of people's rest and maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats
from bids_dtg.bundles.card import ModelCard
from bids_dtg.bundles.training_hashes import TrainingHashes
from bids_dtg.connectome.design import SECONDS_PER_RUN
from bids_dtg.connectome.form import Form, rows_of
from bids_dtg.contrasts.asymmetry import Homologues
from bids_dtg.contrasts.bundle.bundle import BundleArrays, ModelBundle, write_bundle
from bids_dtg.contrasts.bundle.kinds import LINEAR
from bids_dtg.contrasts.bundle.part import MapsPart, Recentring
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.group_ica import group_maps, reduce_rest
from bids_dtg.contrasts.linear import fit_people
from bids_dtg.contrasts.people import FittedModel, Person
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.inputs.rest_sketch import sketch
from bids_dtg.stats.linear import standardised


@dataclass(frozen=True, eq=False)
class FittedLinear:
    """A linear model fitted by `fit_linear`."""

    roi_maps: Float32  # (ROIs of all sets, places)
    sets: tuple[int, ...]  # numbers of ROIs
    fit: FittedModel
    sketches: tuple[str, ...]  # of each person's rest, by which people are recognised

    @property
    def half_widths(self) -> Float32:
        """Half-widths of the 90 % prediction intervals, (contrasts, places); NaN: none."""
        assert self.fit.half_widths is not None
        return self.fit.half_widths.at_places

    def predict(self, rest: Floats) -> Float64:
        """Predict a person's maps (contrasts, places) from rest (places, frames)."""
        assert self.fit.correction is not None
        connectome: Any = _connectome(rest, self.roi_maps, self.sets)
        return self.fit.correction.apply(self.fit.model.predict(connectome))

    def save(
        self, folder: str | Path, people: Sequence[str] | None = None
    ) -> ModelBundle:
        """Write the model as a bundle, in a new folder.

        Parameters
        ----------
        folder
            Must not exist yet.
        people
            Labels of the training people, in order. Hashes of the labels and sketches of people's
            rest are written, by which the model recognises them. None: nothing about single
            people is written.
        """
        model_people = None
        if people is not None:
            sketches = zip(people, self.sketches, strict=True)
            sketches_of = {label: [sketch] for label, sketch in sketches}
            model_people = TrainingHashes.of_training("", sketches_of)
        fit = self.fit
        correction = fit.correction
        assert correction is not None
        number = self.roi_maps.shape[1]
        contrasts = [
            Contrast(row, f"contrast{row + 1}", "", "", "")
            for row in range(len(correction.gains))
        ]
        participants = fit.record["linear"]["participants"]
        part = MapsPart(
            tuple(contrasts),
            places=number,
            segment_seconds=SECONDS_PER_RUN,
            units="arbitrary",
            recentring=Recentring(participants, 1, left_out_in_turn=True),
            connectome=Form("partial", self.sets if len(self.sets) > 1 else ()),
        )
        places = ListedPlaces(tuple(str(place + 1) for place in range(number)))
        arrays = BundleArrays(
            fit.tensors,
            self.roi_maps.astype(np.float16 if part.several else np.float32),
            brain=places,
            places=places,
            correction=correction,
            mean=correction.offset,
            half_widths=fit.half_widths,
        )
        card = ModelCard(Path(folder).name, "1", LINEAR.name, part)
        return write_bundle(folder, card, arrays, people=model_people)


def fit_linear(
    rest: Sequence[Floats],
    maps: Floats,
    tr_seconds: float | None = None,
    sets: Sequence[int] = (15, 25, 50, 75, 100),
    seed: int = 0,
    *,
    roi_maps: Sequence[Floats] | None = None,
    homologues: Homologues | None = None,
) -> FittedLinear:
    """Fit the linear model to people's rest and maps.

    Parameters
    ----------
    rest
        Cleaned resting-state series, (people, places, frames), where places are voxels or parcels;
        or a list of one array (places, frames) per person, whose numbers of frames may differ.
    maps
        Measured maps, (people, contrasts, places); NaN where nothing was measured.
    tr_seconds
        Repetition time, which sets the shrinkage; None: the scans are taken to be long enough.
    sets
        Numbers of ROIs in the sets of maps, which are made by group ICA of this rest.
    seed
        Seed of group ICA.
    roi_maps
        Maps of each set, (ROIs, places), to use instead of group ICA.
    homologues
        Pairs of parcels, for half-widths of left minus right (`fit.asymmetry_widths`).

    Returns
    -------
    FittedLinear
        Predicts a person's maps by ``predict(rest)``; ``save(folder)`` writes a bundle.

    Raises
    ------
    ValueError
        There are fewer than five people, rest is not of places by frames, has values that are not
        finite or never varies, or rest and maps do not match.

    Notes
    -----
    A weighted form of Tavor et al. 2016 (Science 352: 216); see ``docs/explanation/linear.md``.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.random((6, 3, 60)) ** 4
    >>> rest = np.einsum("nkv,nkt->nvt", networks, rng.standard_normal((6, 3, 200)))
    >>> model = fit_linear(rest, networks[:, :2], tr_seconds=2.0, sets=(3,))
    >>> model.predict(rest[0]).shape
    (2, 60)
    """
    _require_people(rest, maps, () if roi_maps is None else roi_maps)
    if roi_maps is None:
        ica_maps, _ = group_maps([reduce_rest(series) for series in rest], sets, seed)
        # Rounded as in a bundle, so that the saved model is the same.
        roi_maps = [ica_maps[rows].astype(np.float16) for rows in rows_of(sets)]
    numbers = tuple(len(set_maps) for set_maps in roi_maps)
    joined = np.concatenate(roi_maps).astype(np.float32)
    people = []
    for number, series in enumerate(rest):
        minutes = np.nan if tr_seconds is None else series.shape[1] * tr_seconds / 60
        person = Person(
            label=str(number),
            connectomes=_connectome(series, joined, numbers)[None],
            weights=(1.0,),
            sessions=(np.asarray(maps[number], np.float64),),
            minutes=minutes,
        )
        people.append(person)
    sketches = tuple(sketch(np.asarray(series)) for series in rest)
    fit = fit_people(people, numbers, homologues=homologues)
    return FittedLinear(joined, numbers, fit, sketches)


def _require_people(
    rest: Sequence[Floats], maps: Floats, roi_maps: Sequence[Floats]
) -> None:
    """Refuse too few people, rest that cannot be used, and different numbers of places."""
    if len(rest) != len(maps):
        raise ValueError(
            f"there are rest of {len(rest)} and maps of {len(maps)} people"
        )
    if len(rest) < LINEAR.fewest_people:
        raise ValueError(
            f"there are {len(rest)} people: fewer than {LINEAR.fewest_people}, too few to train on"
        )
    for row, series in enumerate(rest):
        if np.ndim(series) != 2 or not np.size(series):
            raise ValueError(
                f"the rest of person {row} has the shape {np.shape(series)}, not (places, frames)"
            )
    places = {np.shape(series)[0] for series in rest}
    places |= {np.shape(some_maps)[-1] for some_maps in (*maps, *roi_maps)}
    if len(places) > 1:
        raise ValueError(
            f"rest and maps have different numbers of places: {sorted(places)}"
        )
    for row, series in enumerate(rest):
        if not np.isfinite(series).all() or not np.ptp(series, axis=1).any():
            raise ValueError(
                f"the rest of person {row} has values that are not finite, or never varies"
            )


def _connectome(rest: Floats, roi_maps: Float32, sets: tuple[int, ...]) -> Float64:
    """Return the connectome (ROIs, places) of a person's rest (places, frames), set by set."""
    voxel_series = standardised(np.asarray(rest))  # (voxels or parcels, frames)
    frames = voxel_series.shape[1]
    connectomes = []
    for roi_rows in rows_of(sets):
        centred_maps = roi_maps[roi_rows].astype(np.float64)
        centred_maps -= centred_maps.mean(axis=1, keepdims=True)
        roi_series, *_ = np.linalg.lstsq(centred_maps.T, voxel_series, rcond=None)
        roi_series = standardised(roi_series)
        roi_correlation = roi_series @ roi_series.T / frames
        roi_to_voxel = roi_series @ voxel_series.T / frames
        partial = Form("partial").mixing(roi_correlation)
        connectomes.append(partial.T @ roi_to_voxel)
    return np.concatenate(connectomes)
