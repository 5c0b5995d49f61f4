"""The phantom: a population with known networks, and the people in it."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.contrasts.phantom.measurement import Measurement, map_noise, rest_noise, wide
from bids_dtg.contrasts.phantom.parameters import VERSION_2, PhantomParameters
from bids_dtg.contrasts.phantom.rest import (
    draw_series,
    segment_connectome,
    series_mixing,
    series_weights,
)
from bids_dtg.contrasts.phantom.structure import Foci, Structure, draw_structure, network_maps
from bids_dtg.contrasts.phantom.tasks import condition_list, contrast_design
from bids_dtg.contrasts.phantom.topography import envelope, folded, moved_foci, own_loadings
from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.phantom.bold_run import brain_frames
from bids_dtg.phantom.fields import SmoothField
from bids_dtg.phantom.streams import Purpose, stream

Array = NDArray[np.float32]

_MIXED_SHARE = 0.2  # of the other networks that a ROI map has a part of


class Phantom:
    """A simulated population: resting connectomes and task maps with a known truth.

    Parameters
    ----------
    parameters
        Parameters of the generative model.
    seed
        Determines the networks, the tasks and, with their numbers, the people.
    block
        Voxels are blocks of this many 2 mm voxels along each axis: 1, 2, 3 and 4 give
        2, 4, 6 and 8 mm. People are the same for any block size.

    Examples
    --------
    >>> phantom = Phantom(block=4)
    >>> person = phantom.person(cohort=0, index=7)
    >>> person.connectome(session=0, segment=0).shape, person.measured_maps(session=0).shape
    ((50, 2682), (47, 2682))
    """

    def __init__(
        self, parameters: PhantomParameters | None = None, seed: int = 0, block: int = 1
    ) -> None:
        self.parameters = VERSION_2 if parameters is None else parameters
        self.seed, self.block = seed, block
        self.anatomy = load_anatomy(block)
        grid, p = self.anatomy.grid, self.parameters
        self.voxel_noise = SmoothField.on(grid, p.voxel_noise_fwhm_mm)
        self.map_noise = SmoothField.on(grid, p.map_noise_fwhm_mm)
        self.stable_maps = SmoothField.on(grid, p.stable_fwhm_mm)
        self.own_field = SmoothField.on(grid, p.topography_fwhm_mm)
        fine = load_anatomy(1)
        self.structure = draw_structure(p, seed, fine, self.stable_maps)
        self.fine_anatomy = fine  # where foci lie at any voxel size
        self.design = contrast_design().astype(np.float32)

    @cached_property
    def group_maps(self) -> Array:
        """The group's network maps, (networks, grey voxels); 0 elsewhere in the brain."""
        return self._group(self.structure.foci)

    @cached_property
    def roi_maps(self) -> Array:
        """The maps that models read, (networks, grey voxels): like the group's, not the same."""
        p, foci = self.parameters, self.structure.foci
        if not (p.roi_misfit_mm or p.roi_mixing):
            return self.group_maps
        rng = stream(self.seed, Purpose.ROI_MISFIT)
        misfit = p.roi_misfit_mm * rng.standard_normal(foci.centre_mm.shape)
        mixing = p.roi_mixing * rng.standard_normal((p.networks, p.networks))
        mixing *= rng.random(mixing.shape) < _MIXED_SHARE
        maps = self._group(dataclasses.replace(foci, centre_mm=foci.centre_mm + misfit))
        mixed: Array = maps + mixing.astype(np.float32) @ maps
        return np.maximum(mixed, np.float32(0))

    def _group(self, foci: Foci) -> Array:
        maps = network_maps(foci, self.anatomy.grid, self.anatomy.grey)
        return maps if self.roughness is None else maps * self.roughness

    @cached_property
    def roughness(self) -> Array | None:
        """Factor on all people's network maps, (networks, grey voxels); None: 1."""
        p = self.parameters
        if not p.log_roughness:
            return None
        drawn = self.own_field.draw(stream(self.seed, Purpose.ROUGHNESS), p.networks)
        factor: Array = np.exp(np.float32(p.log_roughness) * drawn[:, self.anatomy.grey])
        return factor

    @cached_property
    def topography_sd(self) -> Array:
        """The sd of people's own loadings, (networks, grey voxels)."""
        return envelope(self.parameters, self.group_maps)

    @cached_property
    def motion_map(self) -> Array:
        """What motion leaves in the signals of all people, (*lattice)."""
        noise = self.voxel_noise.noise(stream(self.seed, Purpose.MOTION_MAP), 1)
        drawn: Array = wide(noise)[0]
        return drawn

    @cached_property
    def series_weights(self) -> Array:
        """Weights of the voxels in the ROI series, (networks, brain voxels)."""
        return series_weights(self.roi_maps, self.anatomy)

    @cached_property
    def fixed_maps(self) -> Array:
        """The conditions' maps that are not due to networks, (conditions, grey voxels)."""
        maps: Array = self.stable_maps.spread(self.structure.fixed_noise)[:, self.anatomy.grey]
        return maps

    @cached_property
    def linear_weights(self) -> Array:
        """Weights of the connectome's rows in the linear truth, (conditions, networks)."""
        shape = len(condition_list()), self.parameters.networks
        drawn = stream(self.seed, Purpose.LINEAR_TRUTH).standard_normal(shape)
        weights: Array = (drawn / np.sqrt(shape[1])).astype(np.float32)
        return weights

    def person(self, cohort: int, index: int) -> Person:
        """Return a person; the same numbers give the same person."""
        return Person(self, cohort, index)


class Person:
    """One person of a phantom; voxel vectors are over grey matter."""

    def __init__(self, phantom: Phantom, cohort: int, index: int) -> None:
        self.phantom, self.cohort, self.index = phantom, cohort, index
        p, s = phantom.parameters, phantom.structure
        self.traits = self.stream(Purpose.TRAITS).standard_normal(p.traits)  # (traits,)
        rng = self.stream(Purpose.NETWORKS)
        self._shift_mm = p.shift_mm * self._part_of_traits(s.shift_traits, rng)
        self._log_extent = p.log_extent * self._part_of_traits(s.extent_traits, rng)
        self._log_strength = p.log_strength * self._part_of_traits(s.strength_traits, rng)
        if p.log_amplitude:
            self._log_strength += p.log_amplitude * self.stream(Purpose.AMPLITUDE).standard_normal()
        if p.moved_share:
            self._shift_mm = self._shift_mm + moved_foci(
                p.moved_share,
                s.foci.centre_mm,
                phantom.fine_anatomy,
                self.stream(Purpose.TOPOLOGY),
            )
        drawn = self.stream(Purpose.MEASUREMENT)
        self.measurement = Measurement.draw(p, self.traits, drawn)

    def stream(self, purpose: Purpose, session: int = 0, segment: int = 0) -> np.random.Generator:
        """Open one of the person's random streams."""
        return stream(
            self.phantom.seed,
            purpose,
            cohort=self.cohort,
            person=self.index,
            session=session,
            segment=segment,
        )

    def _part_of_traits(
        self, weights: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Draw numbers of variance 1 that traits explain in part."""
        share = self.phantom.parameters.trait_share
        own = rng.standard_normal(weights.shape[:-1])
        drawn: NDArray[np.float64] = np.sqrt(share) * (weights @ self.traits)
        drawn += np.sqrt(1.0 - share) * own
        return drawn

    def _maps(self, further_shift_mm: NDArray[np.float64] | float = 0.0) -> Array:
        phantom = self.phantom
        maps = network_maps(
            phantom.structure.foci,
            phantom.anatomy.grid,
            phantom.anatomy.grey,
            shift_mm=self._shift_mm + further_shift_mm,
            log_extent=self._log_extent,
            log_strength=self._log_strength,
        )
        if phantom.roughness is not None:
            maps *= phantom.roughness
        if phantom.parameters.topography:
            maps += self._own_loadings
        return maps if self._folded is None else maps[:, self._folded]

    @cached_property
    def _own_loadings(self) -> Array:
        phantom = self.phantom
        grey, rng = phantom.anatomy.grey, self.stream(Purpose.TOPOGRAPHY)
        strength = np.exp(self._log_strength).astype(np.float32)[:, None]
        return own_loadings(strength * phantom.topography_sd, phantom.own_field, grey, rng)

    @cached_property
    def _folded(self) -> NDArray[np.intp] | None:
        folds = self.phantom.parameters.folds
        if not folds:
            return None
        rng, everywhere = self.stream(Purpose.FOLDS), self.phantom.fine_anatomy.places.points
        centres = everywhere[rng.integers(len(everywhere), size=folds)]
        return folded(self.phantom.anatomy.places.points, centres, rng)

    @cached_property
    def network_maps(self) -> Array:
        """The person's network maps at rest, (networks, voxels)."""
        return self._maps()

    @cached_property
    def series_mixing(self) -> NDArray[np.float64]:
        """Correlations of the person's networks at rest, (networks, networks)."""
        p = self.phantom.parameters
        own = self.stream(Purpose.OWN_MODES).standard_normal((p.networks, p.own_modes))
        return series_mixing(p, self.phantom.structure, self.traits, own)

    def connectome(self, session: int, segment: int, form: Form = MARGINAL) -> Array:
        """Simulate one segment of rest and return its connectome, (networks, voxels)."""
        phantom = self.phantom
        return segment_connectome(
            self.frames(session, segment),
            phantom.series_weights,
            phantom.anatomy.grey_in_brain,
            form,
        )

    def frames(self, session: int, segment: int) -> Array:
        """Simulate one segment of rest, (frames, brain voxels); frames are independent samples."""
        phantom, p = self.phantom, self.phantom.parameters
        rng = self.stream(Purpose.SERIES, session, segment)
        series, shared = draw_series(p, self.series_mixing, rng, p.samples)
        noise = self.rest_noise(Purpose.VOXEL_NOISE, p.samples, session, segment)
        blocks = brain_frames(
            self.network_maps, series, shared, noise, phantom.anatomy, phantom.voxel_noise
        )
        return np.concatenate(list(blocks))

    def rest_noise(
        self, purpose: Purpose, frames: int, session: int = 0, segment: int = 0
    ) -> Array:
        """Draw the noise of a segment or a run, (frames, *lattice); see `measurement.rest_noise`.

        Parameters
        ----------
        purpose
            The stream of the voxels' own noise.
        frames, session, segment
            Their number, and of which session and segment or run they are.
        """
        phantom = self.phantom
        streams = (
            self.stream(purpose, session, segment),
            self.stream(Purpose.TAILS, session, segment),
        )
        field, noise_of = phantom.voxel_noise, self.measurement
        return rest_noise(phantom.parameters, field, noise_of, streams, phantom.motion_map, frames)

    def segments(self, n: int | None = None, session: int = 0) -> Array:
        """Return the connectomes of the first n segments, (n, networks, voxels)."""
        count = self.phantom.parameters.segments if n is None else n
        return np.stack([self.connectome(session, segment) for segment in range(count)])

    @cached_property
    def mean_connectome(self) -> Array:
        """The connectome of the first session, averaged over segments, (networks, voxels)."""
        mean: Array = self.segments().mean(axis=0)
        return mean

    @cached_property
    def responses(self) -> Array:
        """The person's true responses to the conditions, in z, (conditions, voxels)."""
        p = self.phantom.parameters
        if p.truth == "linear":
            return linear_responses(p, self.phantom.linear_weights, self.mean_connectome)
        maps = self._maps(self._unseen_shift(self.stream(Purpose.UNSEEN_SHIFT)))
        return self._stable(maps) + condition_gains(p)[:, None] * (
            np.float32(p.own_scale) * self._own_maps()
        )

    def true_maps(self) -> Array:
        """Return the contrast maps without noise, (contrasts, voxels)."""
        return self.phantom.design @ self.responses

    def measured_maps(self, session: int) -> Array:
        """Measure the contrast maps once, as z statistics, (contrasts, voxels)."""
        phantom = self.phantom
        streams = self.stream(Purpose.MAP_NOISE, session), self.stream(Purpose.MAP_TAILS, session)
        conditions = len(condition_list())
        noise = map_noise(
            phantom.parameters, phantom.map_noise, self.measurement, streams, conditions
        )
        return phantom.design @ (self.responses + noise[:, phantom.anatomy.grey])

    def knowable_maps(self, draws: int = 20) -> Array:
        """Return the best possible prediction of the maps from rest, (contrasts, voxels).

        The mean of the true maps over components that rest does not determine (the own maps, and
        the shift between rest and tasks, of which `draws` are drawn), given the person's networks
        and traits. In the linear truth, rest determines the maps.
        """
        if self.phantom.parameters.truth == "linear":
            return self.true_maps()
        rng = self.stream(Purpose.POSSIBLE_SHIFTS)
        total = sum(self._stable(self._maps(self._unseen_shift(rng))) for _ in range(draws))
        return self.phantom.design @ (total / np.float32(draws))

    def _unseen_shift(self, rng: np.random.Generator) -> NDArray[np.float64]:
        return self.phantom.parameters.unseen_shift_mm * rng.standard_normal(self._shift_mm.shape)

    def _stable(self, maps: Array) -> Array:
        """Return responses of networks and fixed maps, in z, (conditions, voxels)."""
        p = self.phantom.parameters
        responses = network_responses(p, self.phantom.structure, maps, self.traits)
        stable = (
            np.float32(p.network_scale) * responses
            + np.float32(p.fixed_scale) * self.phantom.fixed_maps
        )
        return condition_gains(p)[:, None] * stable

    def _own_maps(self) -> Array:
        """Return the person's stable maps that are independent of rest, (conditions, voxels)."""
        share, field = self.phantom.parameters.own_shared, self.phantom.stable_maps
        drawn = field.draw(self.stream(Purpose.OWN_MAPS), len(condition_list()) + 1)
        maps = drawn[:, self.phantom.anatomy.grey]
        own: Array = np.sqrt(share) * maps[:1] + np.sqrt(1.0 - share) * maps[1:]
        return own.astype(np.float32, copy=False)


def network_responses(
    parameters: PhantomParameters, structure: Structure, maps: Array, traits: NDArray[np.float64]
) -> Array:
    """Return the responses of a person's networks to each condition.

    β = λ tanh(h / λ) + κ Σ_p Q_p √(M_k M_l), with h the sum of the networks' maps M times
    their weights and the gains that the person's traits give them.

    Parameters
    ----------
    maps
        The person's maps during tasks, (networks, voxels).
    traits
        (traits,), the person's values; each changes the gains of networks.

    Returns
    -------
    (conditions, voxels)
    """
    gain = np.exp(parameters.trait_gain * (structure.trait_gains @ traits))
    summed = (structure.weights * gain).astype(np.float32) @ maps
    level = np.float32(parameters.saturation)
    first, second = structure.pairs.T
    overlap = np.sqrt(np.maximum(maps[first] * maps[second], 0))
    responses: Array = level * np.tanh(summed / level)
    responses += structure.pair_weights.astype(np.float32) @ overlap
    return responses


def linear_responses(parameters: PhantomParameters, weights: Array, connectome: Array) -> Array:
    """Return responses that are a linear function of the connectome, the same at every voxel.

    Tavor et al. 2016: each condition weights the connectome's rows, z-scored over voxels.

    Parameters
    ----------
    weights
        Weights of the connectome's rows, (conditions, networks).
    connectome
        Connectome of the person, (networks, voxels).

    Returns
    -------
    (conditions, voxels)
    """
    rows = connectome - connectome.mean(axis=1, keepdims=True)
    rows /= rows.std(axis=1, keepdims=True)
    responses: Array = np.float32(parameters.linear_scale) * (weights @ rows)
    return responses


def condition_gains(parameters: PhantomParameters) -> Array:
    """Return the strength of each condition's maps, (conditions,)."""
    gains = dict(parameters.task_gains)
    return np.array([gains[task] for task, _ in condition_list()], np.float32)
