"""The phantom: a population with known networks, and the people in it.

Networks are sums of Gaussian foci. Tasks are HCP's, with 24 conditions, the design of the 47
contrasts, and network weights that conditions share.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter

from bids_dtg.array_types import Float32, Float64, Indices, Mask
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.phantom import parameters as p
from bids_dtg.imaging.grid import Grid
from bids_dtg.phantom.anatomy import (
    FWHM_PER_SD,
    SmoothField,
    axis_positions_mm,
    load_anatomy,
)
from bids_dtg.phantom.run import brain_frames
from bids_dtg.phantom.streams import Purpose, stream

_NODE_MM = 8.0  # distance between nodes of the fields' lattice
_WIDE_FWHM_MM = 24.0
# The conditions of each task.
TASKS: Mapping[str, str] = {
    "LANGUAGE": "MATH STORY",
    "RELATIONAL": "MATCH REL",
    "SOCIAL": "RANDOM TOM",
    "EMOTION": "FACES SHAPES",
    "WM": "2BK_BODY 2BK_FACE 2BK_PLACE 2BK_TOOL 0BK_BODY 0BK_FACE 0BK_PLACE 0BK_TOOL",
    "MOTOR": "CUE LF LH RF RH T",
    "GAMBLING": "PUNISH REWARD",
}
# (task, condition) in the order of the design's columns.
CONDITIONS = tuple(
    (task, name) for task, names in TASKS.items() for name in names.split()
)


class Phantom:
    """A simulated population: resting connectomes and task maps with a known truth.

    Parameters
    ----------
    seed
        Determines the networks, the tasks and, with their numbers, the people.
    block
        Number of 2 mm voxels along each edge of a voxel: 1, 2, 3 and 4 give 2, 4, 6 and 8 mm.
        People are the same for any block size.

    Examples
    --------
    >>> phantom = Phantom(block=4)
    >>> person = phantom.person(cohort=0, index=7)
    >>> person.connectome(session=0, segment=0).shape, person.measured_maps(session=0).shape
    ((50, 2682), (47, 2682))
    """

    def __init__(self, seed: int = 0, block: int = 1) -> None:
        self.seed = seed
        self.block = block
        self.anatomy = load_anatomy(block)
        grid = self.anatomy.grid
        self.voxel_noise = SmoothField.on(grid, p.VOXEL_NOISE_FWHM_MM)
        self.map_noise = SmoothField.on(grid, p.MAP_NOISE_FWHM_MM)
        self.stable_maps = SmoothField.on(grid, p.STABLE_FWHM_MM)
        self.topography = SmoothField.on(grid, p.TOPOGRAPHY_FWHM_MM)
        self.foci = foci = draw_foci(stream(seed, Purpose.FOCI))
        self.design = contrast_design().astype(np.float32)
        # Strength of each condition's maps, (conditions, 1).
        gains = [[p.TASK_GAINS[task]] for task, _ in CONDITIONS]
        self.gains = np.array(gains, np.float32)

        # Effects of traits; all numbers are Gaussian, and sums over traits have variance 1.
        normal = stream(seed, Purpose.COUPLING).standard_normal
        unit = 1.0 / np.sqrt(p.TRAITS)
        self.shift_traits = unit * normal((len(foci.network), 3, p.TRAITS))
        self.extent_traits = unit * normal((p.NETWORKS, p.TRAITS))
        self.strength_traits = unit * normal((p.NETWORKS, p.TRAITS))
        # Loadings of the series' modes.
        self.loadings = p.MODE_STRENGTH * normal((p.NETWORKS, p.MODES))
        self.trait_loadings = unit * normal((p.NETWORKS, p.TRAIT_MODES, p.TRAITS))

        # Responses of networks, and of overlapping pairs of them, to conditions.
        responses = stream(seed, Purpose.RESPONSES)
        parts, density = condition_parts()
        unit_parts = parts / np.linalg.norm(parts, axis=1, keepdims=True)
        part_weights = _sparse(responses, density, p.NETWORKS)
        self.weights = parts @ part_weights  # (conditions, networks)
        shape = len(CONDITIONS), p.NETWORKS, p.TRAITS
        self.trait_gains = unit * responses.standard_normal(shape)
        self.pairs = overlapping_pairs(foci)
        pair_effects = unit_parts @ responses.standard_normal((len(density), p.PAIRS))
        self.pair_weights = (p.PAIR_STRENGTH * pair_effects).astype(np.float32)
        noise = self.stable_maps.noise(stream(seed, Purpose.FIXED_MAPS), len(density))
        unit_parts = unit_parts.astype(np.float32)
        self._fixed_noise: Float32 = np.tensordot(unit_parts, noise, axes=1)

    @cached_property
    def group_maps(self) -> Float32:
        """The group's network maps, (networks, grey voxels); 0 elsewhere in the brain."""
        return network_maps(self.foci, self.anatomy.grid, self.anatomy.grey)

    @cached_property
    def roi_maps(self) -> Float32:
        """The models' ROI maps, (networks, grey voxels), which differ slightly from the group's."""
        rng = stream(self.seed, Purpose.ROI_MISFIT)
        misfit = p.ROI_MISFIT_MM * rng.standard_normal(self.foci.centre_mm.shape)
        mixing = p.ROI_MIXING * rng.standard_normal((p.NETWORKS, p.NETWORKS))
        mixing *= rng.random(mixing.shape) < p.ROI_MIXED_SHARE
        foci = dataclasses.replace(self.foci, centre_mm=self.foci.centre_mm + misfit)
        maps = network_maps(foci, self.anatomy.grid, self.anatomy.grey)
        mixed: Float32 = maps + mixing.astype(np.float32) @ maps
        return np.maximum(mixed, np.float32(0))

    @cached_property
    def topography_sd(self) -> Float32:
        """The sd of people's own loadings, (networks, grey voxels).

        It grows with the square root of the group's map, from a small share of its maximum where
        the network is absent.
        """
        base = np.float32(p.TOPOGRAPHY_BASE)
        shape = base + (1 - base) * np.sqrt(np.clip(self.group_maps, 0, 1))
        return np.float32(p.TOPOGRAPHY) * shape

    @cached_property
    def motion_map(self) -> Float32:
        """Spatial pattern of motion artefacts, the same for all people, (*lattice)."""
        noise = self.voxel_noise.noise(stream(self.seed, Purpose.MOTION_MAP), 1)
        return np.asarray(_wide(noise)[0])

    @cached_property
    def series_weights(self) -> Float32:
        """Weights of the voxels in the ROI series, (networks, brain voxels).

        They are the pseudo-inverse of the demeaned ROI maps, the first stage of dual regression.
        """
        maps = np.zeros((p.NETWORKS, np.count_nonzero(self.anatomy.brain)))
        maps[:, self.anatomy.grey_in_brain] = self.roi_maps
        maps -= maps.mean(axis=1, keepdims=True)
        return np.linalg.solve(maps @ maps.T, maps).astype(np.float32)

    @cached_property
    def fixed_maps(self) -> Float32:
        """The part of the conditions' maps that does not come from networks."""
        return self.stable_maps.spread(self._fixed_noise)[:, self.anatomy.grey]

    def person(self, cohort: int, index: int) -> Person:
        """Return a person; the same numbers give the same person."""
        return Person(self, cohort, index)


class Person:
    """One person of a phantom; voxel vectors are over grey matter."""

    def __init__(self, phantom: Phantom, cohort: int, index: int) -> None:
        self.phantom = phantom
        self.cohort = cohort
        self.index = index
        self.traits = self.stream(Purpose.TRAITS).standard_normal(p.TRAITS)  # (traits,)
        rng = self.stream(Purpose.NETWORKS)
        shift = self._part_of_traits(phantom.shift_traits, rng)
        extent = self._part_of_traits(phantom.extent_traits, rng)
        strength = self._part_of_traits(phantom.strength_traits, rng)
        amplitude = self.stream(Purpose.AMPLITUDE).standard_normal()
        self._shift_mm = p.SHIFT_MM * shift
        self._log_extent = p.LOG_EXTENT * extent
        self._log_strength = p.LOG_STRENGTH * strength
        self._log_strength += p.LOG_AMPLITUDE * amplitude
        measurement = self.stream(Purpose.MEASUREMENT)
        # Motion relative to the usual (partly explained by the first trait), and scanner noise.
        unexplained = np.sqrt(1.0 - p.MOTION_TRAITS**2) * measurement.standard_normal()
        log_motion = p.MOTION_TRAITS * self.traits[0] + unexplained
        self.motion = float(np.exp(p.LOG_MOTION * log_motion))
        self.scanner_noise = p.SCANNER_NOISE if measurement.random() < 0.5 else 1.0

    def stream(
        self, purpose: Purpose, session: int = 0, segment: int = 0
    ) -> np.random.Generator:
        """Open one of the person's random streams."""
        return stream(
            self.phantom.seed,
            purpose,
            cohort=self.cohort,
            person=self.index,
            session=session,
            segment=segment,
        )

    def _part_of_traits(self, weights: Float64, rng: np.random.Generator) -> Float64:
        """Draw numbers of variance 1 that are partly explained by traits."""
        numbers: Float64 = np.sqrt(p.TRAIT_SHARE) * (weights @ self.traits)
        noise = rng.standard_normal(weights.shape[:-1])
        numbers += np.sqrt(1.0 - p.TRAIT_SHARE) * noise
        return numbers

    def _maps(self, further_shift_mm: Float64 | float = 0.0) -> Float32:
        """Return the person's network maps, (networks, voxels), with the person's own loadings."""
        phantom = self.phantom
        maps = network_maps(
            phantom.foci,
            phantom.anatomy.grid,
            phantom.anatomy.grey,
            shift_mm=self._shift_mm + further_shift_mm,
            log_extent=self._log_extent,
            log_strength=self._log_strength,
        )
        maps += self._loadings
        return maps

    @cached_property
    def _loadings(self) -> Float32:
        field, grey = self.phantom.topography, self.phantom.anatomy.grey
        strength = np.exp(self._log_strength).astype(np.float32)[:, None]
        noise = field.noise(self.stream(Purpose.TOPOGRAPHY), p.NETWORKS)
        # One network at a time, because volumes of all networks are large at 2 mm.
        loadings = np.stack([field.spread(white[None])[0][grey] for white in noise])
        loadings *= strength * self.phantom.topography_sd
        return loadings

    @cached_property
    def network_maps(self) -> Float32:
        """The person's network maps at rest, (networks, voxels)."""
        return self._maps()

    @cached_property
    def series_mixing(self) -> Float64:
        """Matrix L (networks, networks) that mixes independent series into the person's.

        L Lᵀ is the correlation matrix of BBᵀ + I + δ² U(t)U(t)ᵀ + ω² VVᵀ, where U depends on the
        person's traits t, and V (networks, modes) are modes drawn for this person.
        """
        modes = self.phantom.loadings
        shape = p.NETWORKS, p.OWN_MODES
        person_modes = self.stream(Purpose.PERSON_MODES).standard_normal(shape)
        trait_modes = p.TRAIT_COUPLING * (self.phantom.trait_loadings @ self.traits)
        covariance = modes @ modes.T + np.eye(len(modes)) + trait_modes @ trait_modes.T
        covariance += p.OWN_COUPLING**2 * (person_modes @ person_modes.T)
        sd = np.sqrt(np.diagonal(covariance))
        return np.linalg.cholesky(covariance / np.outer(sd, sd))

    def frames(self, session: int, segment: int) -> Float32:
        """Simulate one segment of rest, (frames, brain voxels); frames are independent samples."""
        rng = self.stream(Purpose.SERIES, session, segment)
        state = np.exp(p.LOG_STATE * rng.standard_normal(p.NETWORKS))
        independent = rng.standard_normal((p.SAMPLES, p.NETWORKS))
        shared = p.GLOBAL_SIGNAL * rng.standard_normal(p.SAMPLES)
        series = (independent @ self.series_mixing.T * state).astype(np.float32)
        noise = self.rest_noise(Purpose.VOXEL_NOISE, p.SAMPLES, session, segment)
        blocks = brain_frames(
            self.network_maps,
            series,
            shared.astype(np.float32),
            noise,
            self.phantom.anatomy,
            self.phantom.voxel_noise,
        )
        return np.concatenate(list(blocks))

    def rest_noise(
        self, purpose: Purpose, frames: int, session: int = 0, segment: int = 0
    ) -> Float32:
        """Draw noise of rest, which the phantom's field makes smooth.

        Frames differ in amplitude (heavy tails), a part of the noise is smooth over 24 mm, and a
        spatial pattern that all people share follows the head's motion.

        Parameters
        ----------
        purpose
            The stream of the voxels' own noise.
        frames, session, segment
            Number of frames, and their session and segment (or run).

        Returns
        -------
        (frames, *lattice), otherwise white
        """
        rng = self.stream(Purpose.TAILS, session, segment)
        field = self.phantom.voxel_noise
        voxel_noise = field.noise(self.stream(purpose, session, segment), frames)
        noise = np.float32(p.VOXEL_NOISE) * voxel_noise
        wide = _wide(field.noise(rng, frames))
        noise += np.float32(p.VOXEL_NOISE * p.WIDE_NOISE) * wide
        noise *= _tails(p.LOG_TAIL, frames, rng)
        noise *= np.float32(self.scanner_noise)
        motion_series = rng.standard_normal((frames, 1, 1, 1))
        motion_series = motion_series * _tails(2 * p.LOG_TAIL, 1, rng)
        level = np.float32(p.MOTION_SIGNAL * self.motion)
        noise += level * motion_series.astype(np.float32) * self.phantom.motion_map
        return noise

    def connectome(self, session: int, segment: int) -> Float32:
        """Simulate one segment of rest and return its connectome, (networks, voxels)."""
        frames = self.frames(session, segment)
        centred = frames - frames.mean(axis=0)
        series = centred @ self.phantom.series_weights.T
        voxels = centred[:, self.phantom.anatomy.grey_in_brain]
        series /= np.linalg.norm(series, axis=0)
        connectome: Float32 = series.T @ voxels
        connectome /= np.sqrt(np.einsum("tv,tv->v", voxels, voxels))
        return connectome

    @cached_property
    def responses(self) -> Float32:
        """The person's true responses to the conditions, in z, (conditions, voxels).

        They are the networks' responses, with a shift that rest does not show, plus the person's
        own stable map, half of whose variance is common to all conditions.
        """
        phantom = self.phantom
        stable = self.stable(self.stream(Purpose.UNSEEN_SHIFT))
        rng = self.stream(Purpose.PERSON_MAPS)
        volumes = phantom.stable_maps.draw(rng, len(CONDITIONS) + 1)
        common, condition_fields = np.split(volumes[:, phantom.anatomy.grey], [1])
        person_maps = np.sqrt(p.OWN_SHARED) * common
        person_maps = person_maps + np.sqrt(1.0 - p.OWN_SHARED) * condition_fields
        scaled = np.float32(p.OWN_SCALE) * person_maps.astype(np.float32, copy=False)
        return stable + phantom.gains * scaled

    def stable(self, rng: np.random.Generator) -> Float32:
        """Draw responses of networks and fixed maps, in z, (conditions, voxels).

        β = λ tanh(h / λ) + κ Σ_p Q_p √(M_k M_l), where h is the sum of the networks' maps M times
        their weights and gains; the gains depend on the person's traits.
        """
        phantom = self.phantom
        maps = self._maps(p.UNSEEN_SHIFT_MM * rng.standard_normal(self._shift_mm.shape))
        gain = np.exp(p.TRAIT_GAIN * (phantom.trait_gains @ self.traits))
        level = np.float32(p.SATURATION)
        first, second = phantom.pairs.T
        overlap = np.sqrt(np.maximum(maps[first] * maps[second], 0))
        network_sum = (phantom.weights * gain).astype(np.float32) @ maps
        responses: Float32 = level * np.tanh(network_sum / level)
        responses += phantom.pair_weights @ overlap
        fixed = np.float32(p.FIXED_SCALE) * phantom.fixed_maps
        z_maps = np.float32(p.NETWORK_SCALE) * responses + fixed
        return np.asarray(phantom.gains * z_maps)

    def true_maps(self) -> Float32:
        """Return the contrast maps without noise, (contrasts, voxels)."""
        return self.phantom.design @ self.responses

    def measured_maps(self, session: int) -> Float32:
        """Measure the contrast maps once, as z statistics, (contrasts, voxels).

        Noise has heavy tails over voxels, and grows with the person's motion.
        """
        phantom = self.phantom
        rng = self.stream(Purpose.MAP_NOISE, session)
        field = phantom.map_noise
        level = np.exp(p.LOG_MAP_NOISE * rng.standard_normal())
        noise = np.float32(level) * field.draw(rng, len(CONDITIONS))
        tails = field.draw(self.stream(Purpose.MAP_TAILS, session), 1)
        log_tails = np.float32(p.LOG_TAIL) * tails
        noise *= np.exp(log_tails - np.float32(p.LOG_TAIL**2))
        noise *= np.float32(self.motion**p.MOTION_MAP_NOISE)
        return phantom.design @ (self.responses + noise[:, phantom.anatomy.grey])


def _sparse(rng: np.random.Generator, density: Float64, n: int) -> Float64:
    """Draw (parts, n) numbers of variance 1, with a share `density` that is not 0."""
    numbers = rng.standard_normal((len(density), n))
    involved = rng.random((len(density), n)) < density[:, None]
    numbers = np.where(involved, numbers, 0.0)
    numbers /= np.sqrt(density[:, None])
    return numbers


def _wide(noise: Float32) -> Float32:
    """Make noise on the lattice (n, *lattice) smooth over 24 mm, with variance 1."""
    sd = _WIDE_FWHM_MM / FWHM_PER_SD / _NODE_MM
    smooth = gaussian_filter(noise, (0, sd, sd, sd), mode="wrap")
    # Restore variance 1, by the sum of a Gaussian's squared weights over three axes.
    smooth *= np.float32((2 * np.sqrt(np.pi) * sd) ** 1.5)
    return np.asarray(smooth, np.float32)


def _tails(log_sd: float, n: int, rng: np.random.Generator) -> Float32:
    """Draw log-normal amplitudes (n, 1, 1, 1) whose square has mean 1."""
    amplitudes = np.exp(log_sd * rng.standard_normal((n, 1, 1, 1)) - log_sd**2)
    return np.asarray(amplitudes, np.float32)


@dataclass(frozen=True, eq=False)
class Foci:
    """The Gaussian foci of the group's networks, in mm."""

    network: Indices  # (foci,), network of each focus
    centre_mm: Float64  # (foci, 3)
    height: Float64  # (foci,)
    width_mm: Float64  # (networks,), standard deviation


def draw_foci(rng: np.random.Generator) -> Foci:
    """Draw foci in the 2 mm grey matter, so that they are the same for voxels of any size."""
    anatomy = load_anatomy(1)
    affine = anatomy.grid.affine
    grey_mm = np.argwhere(anatomy.grey) @ affine[:3, :3].T + affine[:3, 3]
    first = _spaced(rng.permutation(grey_mm), p.NETWORKS, p.FOCUS_DISTANCE_MM)

    def networks(share: float) -> Indices:
        return np.sort(rng.permutation(p.NETWORKS)[: round(share * p.NETWORKS)])

    mirrored = networks(p.MIRRORED_SHARE)
    distant = networks(p.DISTANT_SHARE)
    across = first[mirrored] * np.array([-1.0, 1.0, 1.0])
    elsewhere = grey_mm[rng.integers(len(grey_mm), size=len(distant))]
    heights = (
        np.ones(p.NETWORKS),
        np.full(len(mirrored), p.MIRRORED_WEIGHT),
        rng.uniform(*p.DISTANT_WEIGHT, size=len(distant)),
    )
    return Foci(
        network=np.concatenate([np.arange(p.NETWORKS), mirrored, distant]),
        centre_mm=np.concatenate([first, across, elsewhere]),
        height=np.concatenate(heights),
        width_mm=rng.uniform(*p.WIDTH_MM, size=p.NETWORKS),
    )


def network_maps(
    foci: Foci,
    grid: Grid,
    mask: Mask,
    *,
    shift_mm: Float64 | float = 0.0,
    log_extent: Float64 | float = 0.0,
    log_strength: Float64 | float = 0.0,
) -> Float32:
    """Compute the networks' maps, of the group or of one person.

    Parameters
    ----------
    foci
        Foci of the group's networks.
    grid, mask
        Grid, and mask (i, j, k) of the voxels of the maps.
    shift_mm
        (foci, 3), shifts of a person's foci.
    log_extent, log_strength
        (networks,), changes of the width and height of a person's networks.

    Returns
    -------
    (networks, voxels of the mask)
    """
    centres = foci.centre_mm + shift_mm
    widths = foci.width_mm * np.exp(log_extent)
    heights = np.exp(np.zeros(len(widths)) + log_strength)
    axes = axis_positions_mm(grid)
    maps = np.empty((len(widths), np.count_nonzero(mask)), np.float32)
    for k, width in enumerate(widths):
        volume = np.zeros(grid.shape, np.float32)
        for focus in np.flatnonzero(foci.network == k):
            # A Gaussian is a product of its profiles along i, j and k.
            profiles = []
            for axis in range(3):
                distance = (axes[axis] - centres[focus, axis]) / width
                profiles.append(np.exp(-0.5 * distance**2).astype(np.float32))
            gi, gj, gk = profiles
            gi *= np.float32(heights[k] * foci.height[focus])
            volume += (gi[:, None] * gj[None, :])[:, :, None] * gk
        maps[k] = volume[mask]
    return maps


def overlapping_pairs(foci: Foci) -> Indices:
    """Return the pairs of networks with the largest overlap, (pairs, 2)."""
    width = foci.width_mm[foci.network]
    squares = width[:, None] ** 2 + width[None, :] ** 2
    centre = foci.centre_mm
    distance = np.linalg.norm(centre[:, None] - centre[None, :], axis=2)
    # The integral of the product of two Gaussians, up to a factor.
    product = np.outer(width**3, width**3) / squares**1.5
    product = product * np.exp(-0.5 * distance**2 / squares)
    product *= np.outer(foci.height, foci.height)
    member = np.equal.outer(np.arange(len(foci.width_mm)), foci.network).astype(float)
    overlap = member @ product @ member.T
    norm = np.sqrt(np.diagonal(overlap))
    first, second = np.triu_indices(len(norm), k=1)
    share = (overlap / np.outer(norm, norm))[first, second]
    order = np.argsort(-share, kind="stable")[: p.PAIRS]
    return np.stack([first[order], second[order]], axis=1)


def _spaced(points: Float64, n: int, distance: float) -> Float64:
    """Take the first n points that keep a distance from each other."""
    taken: list[Float64] = []
    free = np.ones(len(points), bool)
    while len(taken) < n and free.any():
        point = points[np.argmax(free)]
        taken.append(point)
        free &= np.linalg.norm(points - point, axis=1) >= distance
    return np.array(taken)


def contrast_design() -> Float64:
    """Return the design (contrasts, conditions) of the published contrasts, each row of length 1.

    A row weights the conditions of its task by 1/n on either side. With rows of length 1,
    independent noise of variance 1 keeps variance 1, so all maps are z statistics.

    Examples
    --------
    >>> import numpy as np
    >>> design = contrast_design()
    >>> design.shape, int(np.linalg.matrix_rank(design))
    ((47, 24), 24)
    """
    design = np.zeros((len(hcp_contrasts()), len(CONDITIONS)))
    for row, contrast in zip(design, hcp_contrasts(), strict=True):
        plus, _, minus = contrast.name.partition("-")
        row += _mean_of(contrast.task, plus)
        if minus:
            row -= _mean_of(contrast.task, minus, beside=plus)
    return design / np.linalg.norm(design, axis=1, keepdims=True)


def _mean_of(task: str, name: str, beside: str = "") -> Float64:
    """Weight the conditions of a part ("2BK", "BODY"); AVG is all but the cue and `beside`."""
    left_out = {"CUE", *beside.split("_")}
    chosen = np.zeros(len(CONDITIONS), bool)
    for number, (condition_task, condition) in enumerate(CONDITIONS):
        if condition_task != task:
            continue
        parts = set(condition.split("_"))
        if name == "AVG":
            chosen[number] = not parts & left_out
        else:
            chosen[number] = set(name.split("_")) <= parts
    return chosen / chosen.sum()


def condition_parts() -> tuple[Float64, Float64]:
    """Return the parts that make up each condition's network weights.

    Returns
    -------
    parts
        (conditions, parts), weights of independent parts in each condition. One part is common to
        all conditions; the others belong to a task or to a condition.
    density
        (parts,), the share of networks in each part.
    """
    weights_of = {key: _specific_parts(*key) for key in CONDITIONS}
    specific = set[tuple[str, str]]()
    for (task, _), weights in weights_of.items():
        specific |= {(task, name) for name in weights}
    shared = [("", "common"), *((task, "task") for task in TASKS)]
    names = shared + sorted(specific)
    column = {name: n for n, name in enumerate(names)}
    parts = np.zeros((len(weights_of), len(names)))
    for row, ((task, _), weights) in zip(parts, weights_of.items(), strict=True):
        common = p.MOTOR_COMMON if task == "MOTOR" else 1.0
        row[column["", "common"]] = p.COMMON_WEIGHT * common
        row[column[task, "task"]] = p.TASK_WEIGHT
        for name, weight in weights.items():
            row[column[task, name]] = p.CONDITION_WEIGHT * weight
    density = np.full(len(names), p.DENSITIES[2])
    density[0], density[1 : len(shared)] = p.DENSITIES[:2]
    return parts, density


def _specific_parts(task: str, condition: str) -> dict[str, float]:
    """Return a condition's specific parts (without the common and the task's), of length 1."""
    if task == "WM":  # a load ("2BK") and a category ("BODY")
        return {part: float(np.sqrt(0.5)) for part in condition.split("_")}
    difference = p.DIFFERENCES.get(task, 1.0)
    return {"both": float(np.sqrt(1.0 - difference**2)), condition: difference}
