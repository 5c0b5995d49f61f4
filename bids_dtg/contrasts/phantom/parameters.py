"""The phantom's parameters, fixed and hashed before any model was trained on it.

Version 1, the defaults, is set so that scores of simple models on simulated people match those
published for HCP-YA (Serin et al. 2025). Version 2, `VERSION_2`, is set so that models of rest come
out as on real people (docs/evidence.md).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class PhantomParameters:
    """Everything that a phantom depends on besides its seed and its grid.

    Lengths are in mm, maps in units of z, series in units of a network's series.
    """

    # Networks
    networks: int = 50  # networks, which are the ROI maps
    traits: int = 8  # independent standard normal traits of a person
    focus_distance_mm: float = 16.0  # least distance between the networks' first foci
    mirrored_share: float = 0.6  # share of networks with a second focus across the midline
    mirrored_weight: float = 0.9  # its height
    distant_share: float = 0.5  # share of networks with a further focus anywhere
    distant_weight: tuple[float, float] = (0.6, 0.9)  # range of its height
    width_mm: tuple[float, float] = (9.0, 14.0)  # range of the foci's standard deviation

    # People: position, extent and strength of their networks
    shift_mm: float = 3.3  # sd of a focus's shift along each axis, seen at rest and in tasks
    unseen_shift_mm: float = 4.0  # sd of a further shift in tasks only (misfit between scans)
    log_extent: float = 0.1  # sd of the log of a network's width
    log_strength: float = 0.1  # sd of the log of a network's height
    trait_share: float = 0.2  # share of those variances that comes from traits

    # Rest
    modes: int = 6  # modes that the networks' series have in common
    mode_strength: float = 0.45  # sd of the networks' loadings on those modes
    trait_modes: int = 2  # modes whose loadings come from traits
    trait_coupling: float = 0.4  # strength of those modes
    log_state: float = 0.15  # sd of the log amplitude of a network in one segment
    voxel_noise: float = 1.0  # sd of a voxel's own noise
    voxel_noise_fwhm_mm: float = 7.0  # smoothness of that noise
    global_signal: float = 0.3  # amplitude of the signal that all voxels share
    samples: int = 150  # independent samples in a segment of 432 s
    segments: int = 8  # segments in a session

    # Tasks
    common_weight: float = 0.8  # part of a condition's network weights shared by all tasks
    task_weight: float = 0.6  # part shared by a task's conditions
    condition_weight: float = 0.7  # part specific to a condition
    densities: tuple[float, float, float] = (0.5, 0.35, 0.25)  # share of nonzeros in the parts
    gambling_difference: float = 0.45  # how far the two GAMBLING conditions differ
    relational_difference: float = 0.6  # how far the two RELATIONAL conditions differ
    motor_common: float = 0.35  # weight of the common part in MOTOR
    trait_gain: float = 0.35  # sd of the log gain that traits give a network in a condition
    saturation: float = 1.0  # level at which a response saturates
    pairs: int = 60  # pairs of overlapping networks that interact
    pair_strength: float = 1.0  # sd of an interaction's weight
    network_scale: float = 1.45  # z of a unit response
    fixed_scale: float = 0.3  # z of the fixed map that is the same for all people
    own_scale: float = 0.48  # z of a person's own stable map, invisible at rest
    own_shared: float = 0.5  # share of its variance that a person's conditions have in common
    stable_fwhm_mm: float = 16.0  # smoothness of the fixed and the own maps
    map_noise_fwhm_mm: float = 10.0  # smoothness of the noise of a measured map
    log_map_noise: float = 0.2  # sd of the log noise level of a person's session
    task_gains: tuple[tuple[str, float], ...] = (  # strength of a task's maps
        *(("EMOTION", 1.05), ("GAMBLING", 1.0), ("LANGUAGE", 1.25), ("MOTOR", 0.75)),
        *(("RELATIONAL", 1.1), ("SOCIAL", 1.2), ("WM", 1.05)),
    )

    # The `linear` truth: maps that are a linear function of the person's connectome
    truth: Literal["networks", "linear"] = "networks"
    linear_scale: float = 1.0  # sd of a condition's map over voxels, in z, before noise

    # Since version 2: how each place loads on the networks is a person's own
    topography: float = 0.0  # sd of a person's own loadings where a network is at its height
    topography_fwhm_mm: float = 12.0  # smoothness of these
    topography_base: float = 0.08  # share of it where the network is absent
    log_amplitude: float = 0.0  # sd of the log strength of all of a person's maps
    own_modes: int = 8  # modes of the series that a person alone has
    own_coupling: float = 0.0  # strength of those modes

    # Since version 2: measurement
    roi_misfit_mm: float = 0.0  # sd of the shift between ROI maps and the group's networks
    roi_mixing: float = 0.0  # sd of the share of other networks in a ROI map
    log_tail: float = 0.0  # sd of the log amplitude of frames, and of places in map noise
    wide_noise: float = 0.0  # noise that is smooth over 24 mm, in units of a voxel's own
    log_motion: float = 0.0  # sd of the log of a person's motion, which scales its artefacts
    motion_traits: float = 0.0  # correlation of that with the first trait
    motion_signal: float = 0.0  # amplitude of what motion leaves in the cleaned signals
    motion_map_noise: float = 0.0  # power of motion in the noise of measured maps
    scanner_noise: float = 1.0  # noise at the second scanner, where half of the people are

    # Since version 2: what models do not assume
    moved_share: float = 0.0  # share of a person's foci that lie elsewhere (topology)
    log_roughness: float = 0.0  # sd of the log of a factor on group maps (foci not Gaussian)
    folds: int = 0  # places where a person's registration is 8 mm off

    version: int = 1  # of the generative model: raised when an equation or `VERSION_2` changes

    @property
    def hash(self) -> str:
        """SHA-256 of all fields, in hexadecimal."""
        fields = dataclasses.asdict(self)
        if self.version == 1:  # whose hash is older than these fields
            for field in dataclasses.fields(self):
                if field.name in _SINCE_2 and fields[field.name] == field.default:
                    del fields[field.name]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


_SINCE_2 = (
    *("topography", "topography_fwhm_mm", "topography_base", "log_amplitude"),
    *("own_modes", "own_coupling", "roi_misfit_mm", "roi_mixing", "log_tail", "wide_noise"),
    *("log_motion", "motion_traits", "motion_signal", "motion_map_noise", "scanner_noise"),
    *("moved_share", "log_roughness", "folds"),
)

VERSION_2 = PhantomParameters(
    shift_mm=1.5,
    unseen_shift_mm=1.0,
    voxel_noise=0.8,
    global_signal=0.6,
    trait_gain=0.2,
    network_scale=1.4,
    own_scale=0.25,
    topography=0.33,
    log_amplitude=0.14,
    own_coupling=0.65,
    roi_misfit_mm=2.0,
    roi_mixing=0.1,
    log_tail=0.25,
    wide_noise=0.3,
    log_motion=0.4,
    motion_traits=0.4,
    motion_signal=0.3,
    motion_map_noise=0.3,
    scanner_noise=1.15,
    version=2,
)
"""Fixed on 2026-11-25 with seeds 1 to 3, before any model was judged on another seed."""

VARIANTS: dict[str, dict[str, Any]] = {
    "as calibrated": {},
    "topology": {"moved_share": 0.1},
    "foci": {"log_roughness": 0.5},
    "folds": {"folds": 12},
}
"""Parameters that take people outside what models assume, by name."""
