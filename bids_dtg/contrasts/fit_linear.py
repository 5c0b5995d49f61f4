"""The linear model of people's rest and maps as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.card import ModelCard
from bids_dtg.connectome.connectome import run_connectomes
from bids_dtg.connectome.design import SECONDS_PER_RUN, TemporalDesign
from bids_dtg.connectome.form import Form
from bids_dtg.connectome.moments import RunVoxels, measure_run
from bids_dtg.connectome.passes import Blocks
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.part import MapsPart, Recentring
from bids_dtg.contrasts.bundle.writer import BundleArrays, write_bundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.linear import LinearFit, fit_people
from bids_dtg.contrasts.linear_kind import tensors_of
from bids_dtg.contrasts.people import Array, Person
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.stats.group_ica import GroupIca, standardised_places


@dataclass(frozen=True, eq=False)
class FittedLinear:
    """A linear model that `fit_linear` has fitted."""

    roi_maps: Array  # (ROIs of all sets, places)
    form: Form  # of the connectomes that it reads
    fit: LinearFit
    people: int  # it was fitted to

    @property
    def correction(self) -> Correction:
        """Gains of the contrasts, and the mean maps."""
        return Correction(self.fit.gains, self.fit.mean_maps.astype(np.float32))

    @property
    def half_widths(self) -> Array:
        """Half-widths of the 90 % intervals around the maps, (contrasts, places); NaN: none."""
        return self.fit.half_widths.at_places

    def predict(self, rest: NDArray[np.floating]) -> Array:
        """Predict the maps (contrasts, places) of a person from rest (places, frames)."""
        connectome = connectome_of(rest, self.roi_maps, self.form)
        return self.correction.apply(self.fit.model.predict(connectome))

    def save(self, folder: str | Path) -> ModelBundle:
        """Write the model as a bundle, a new folder."""
        contrasts = (
            Contrast(number, f"contrast{number + 1}", "", "", "")
            for number in range(len(self.fit.mean_maps))
        )
        part = MapsPart(
            tuple(contrasts),
            places=self.roi_maps.shape[1],
            segment_seconds=SECONDS_PER_RUN,
            units="arbitrary",
            recentring=Recentring(self.people, 1, left_out_in_turn=True),
            connectome=self.form,
        )
        places = ListedPlaces(tuple(str(number + 1) for number in range(self.roi_maps.shape[1])))
        tensors = tensors_of(self.fit.model)
        maps = self.roi_maps.astype(np.float16) if self.form.sets else self.roi_maps
        arrays = BundleArrays(
            *(tensors, maps, places, places, self.correction),
            mean=self.correction.offset,
            half_widths=self.fit.half_widths,
        )
        return write_bundle(folder, ModelCard(Path(folder).name, "1", "linear", part), arrays)


def fit_linear(
    rest: Sequence[NDArray[np.floating]],
    maps: NDArray[np.floating],
    tr_seconds: float | None = None,
    sets: Sequence[int] = (15, 25, 50, 75, 100),
    seed: int = 0,
) -> FittedLinear:
    """Fit the linear model to people's rest and maps.

    Parameters
    ----------
    rest
        Cleaned resting-state series of each person, (people, places, frames).
    maps
        Measured maps, (people, contrasts, places); NaN where nothing was measured.
    tr_seconds
        Seconds a frame; None: the shrinkage is that of an unknown duration.
    sets
        Numbers of ROIs of the sets of maps, which group ICA makes of this rest.
    seed
        Of group ICA.

    Returns
    -------
    FittedLinear
        Predicts a person's maps by ``predict(rest)``; ``save(folder)`` writes a bundle.

    Raises
    ------
    ValueError
        There are fewer than two people, or places do not match.

    Notes
    -----
    Tavor et al. 2016 (Science 352: 216), weighted; ``docs/explanation/linear.md``.

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
    if len(rest) < 2 or len(rest) != len(maps):
        raise ValueError(f"{len(rest)} people's rest and {len(maps)} people's maps")
    ica, form = GroupIca(), Form("partial", tuple(sets) if len(sets) > 1 else ())
    for own in rest:
        ica.add(own)
    made = [ica.maps(number, seed)[0] for number in sets]
    roi_maps = np.concatenate(made).astype(np.float16).astype(np.float32)
    minutes = [np.nan if tr_seconds is None else own.shape[1] * tr_seconds / 60 for own in rest]
    people = [
        Person(
            label=str(number),
            connectomes=connectome_of(own, roi_maps, form)[None].astype(np.float16),
            weights=(1.0,),
            sessions=(np.asarray(maps[number], np.float32),),
            form=form,
            minutes=minutes[number],
        )
        for number, own in enumerate(rest)
    ]
    return FittedLinear(roi_maps, form, fit_people(people, sets), len(people))


def connectome_of(rest: NDArray[np.floating], roi_maps: Array, form: Form) -> Array:
    """Return the connectome (ROIs, places) of a person's rest (places, frames)."""
    values = np.ascontiguousarray(standardised_places(rest.astype(np.float32)).T)
    frames, places = values.shape
    design = TemporalDesign.build(None, [], np.ones(frames, bool), 1.0)
    voxels = RunVoxels(roi_maps, places, np.ones(places, bool), sets=form.sets)

    def blocks() -> Blocks:
        yield 0, values

    moments = measure_run(blocks, design, voxels, segments=design.segments(np.inf))
    return run_connectomes(moments, form=form, every_part=False).segments[0].r
