"""The phantom's parameters, fixed and hashed before any model was trained on it.

They are set so that scores of simple models on simulated people match those published for HCP-YA
(Serin et al. 2025); `studies/phantom_calibration.py` prints both.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Literal

# Models are trained on this phantom: a changed default makes a new phantom, with a new version.
VERSION = 1


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

    version: int = VERSION  # of the generative model: raised when an equation changes

    @property
    def hash(self) -> str:
        """SHA-256 of all fields, in hexadecimal."""
        fields = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(fields.encode()).hexdigest()
