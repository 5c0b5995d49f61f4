"""The phantom's parameters, chosen so that models of rest perform as on real people.

They were fixed on people of seeds 1 to 3, before any model was evaluated on another seed
(docs/explanation/phantom.md). Lengths are in mm, maps in units of z, and series in units of a
network's series.
"""

from __future__ import annotations

# Networks
NETWORKS = 50  # as many as ROI maps
TRAITS = 8  # independent standard normal traits of a person
FOCUS_DISTANCE_MM = 16.0  # smallest distance between the networks' first foci
MIRRORED_SHARE = 0.6  # share of networks with a second focus across the midline
MIRRORED_WEIGHT = 0.9  # its height
DISTANT_SHARE = 0.5  # share of networks with a further focus anywhere
DISTANT_WEIGHT = (0.6, 0.9)  # range of its height
WIDTH_MM = (9.0, 14.0)  # range of the foci's standard deviation
ROI_MISFIT_MM = 2.0  # sd of the shift between ROI maps and the group's networks
ROI_MIXING = 0.1  # sd of the share of other networks in a ROI map
ROI_MIXED_SHARE = 0.2  # share of the other networks that are mixed into a ROI map

# People: position, extent and strength of their networks, and each voxel's loadings on them
SHIFT_MM = 1.5  # sd of a focus's shift along each axis, seen at rest and in tasks
UNSEEN_SHIFT_MM = 1.0  # sd of a further shift in tasks only (misfit between scans)
LOG_EXTENT = 0.1  # sd of the log of a network's width
LOG_STRENGTH = 0.1  # sd of the log of a network's height
TRAIT_SHARE = 0.2  # share of these variances that comes from traits
LOG_AMPLITUDE = 0.14  # sd of the log strength of all of a person's maps
TOPOGRAPHY = 0.33  # sd of a person's own loadings at a network's peak
TOPOGRAPHY_FWHM_MM = 12.0  # smoothness of these loadings
TOPOGRAPHY_BASE = 0.08  # share of that sd where the network is absent

# Rest
MODES = 6  # modes that the networks' series have in common
MODE_STRENGTH = 0.45  # sd of the networks' loadings on those modes
TRAIT_MODES = 2  # modes whose loadings come from traits
TRAIT_COUPLING = 0.4  # strength of these modes
OWN_MODES = 8  # further modes of the series, drawn for each person
OWN_COUPLING = 0.65  # strength of these modes
LOG_STATE = 0.15  # sd of the log amplitude of a network in one segment
GLOBAL_SIGNAL = 0.6  # amplitude of the signal that all voxels share
SAMPLES = 150  # independent samples in a segment of 432 s
# How long a network keeps its amplitude in a run (one segment).
SECONDS_PER_STATE = 432.0

# Measurement
VOXEL_NOISE = 0.8  # sd of a voxel's own noise
VOXEL_NOISE_FWHM_MM = 7.0  # smoothness of that noise
WIDE_NOISE = 0.3  # noise that is smooth over 24 mm, in units of a voxel's own
LOG_TAIL = 0.25  # sd of the log amplitude of frames, and of voxels in map noise
LOG_MOTION = 0.4  # sd of the log of a person's motion, which scales motion artefacts
MOTION_TRAITS = 0.4  # correlation of log motion with the first trait
MOTION_SIGNAL = 0.3  # amplitude of motion artefacts left in cleaned signals
MOTION_MAP_NOISE = 0.3  # exponent of motion in the noise of measured maps
# Noise of the second scanner, at which half of the people are scanned.
SCANNER_NOISE = 1.15

# Tasks
COMMON_WEIGHT = 0.8  # part of a condition's network weights shared by all tasks
TASK_WEIGHT = 0.6  # part shared by a task's conditions
CONDITION_WEIGHT = 0.7  # part specific to a condition
DENSITIES = (0.5, 0.35, 0.25)  # share of nonzero weights in these three parts
DIFFERENCES = {"GAMBLING": 0.45, "RELATIONAL": 0.6}  # how far the two conditions differ
MOTOR_COMMON = 0.35  # weight of the common part in MOTOR
TRAIT_GAIN = 0.2  # sd of the log gain that traits give a network in a condition
SATURATION = 1.0  # level at which a response saturates
PAIRS = 60  # pairs of overlapping networks that interact
PAIR_STRENGTH = 1.0  # sd of an interaction's weight
NETWORK_SCALE = 1.4  # z of a unit response
FIXED_SCALE = 0.3  # z of the fixed map that is the same for all people
OWN_SCALE = 0.25  # z of a person's own stable map, invisible at rest
# Share of its variance that is common to all of the person's conditions.
OWN_SHARED = 0.5
STABLE_FWHM_MM = 16.0  # smoothness of the fixed maps and of people's own maps
MAP_NOISE_FWHM_MM = 10.0  # smoothness of the noise of a measured map
LOG_MAP_NOISE = 0.2  # sd of the log noise level of a person's session
TASK_GAINS = {  # strength of a task's maps
    "EMOTION": 1.05,
    "GAMBLING": 1.0,
    "LANGUAGE": 1.25,
    "MOTOR": 0.75,
    "RELATIONAL": 1.1,
    "SOCIAL": 1.2,
    "WM": 1.05,
}
