"""Independent random streams for each purpose, person, session and segment."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Cohort(IntEnum):
    """Groups of people that never overlap; any other number is a further group."""

    TRAINING = 0
    VALIDATION = 1
    TEST = 2
    DEMO = 3
    CALIBRATION = 4


class Purpose(IntEnum):
    """The purpose of a stream; a number is never reused for another purpose."""

    # The phantom itself
    FOCI = 0
    COUPLING = 1
    RESPONSES = 2
    FIXED_MAPS = 3
    ROI_MISFIT = 5
    MOTION_MAP = 7
    # A person
    TRAITS = 10
    NETWORKS = 11
    UNSEEN_SHIFT = 12
    PERSON_MAPS = 13
    POSSIBLE_SHIFTS = 14  # of scripts/demo_people.py
    PHENOTYPE = 15
    TOPOGRAPHY = 16
    AMPLITUDE = 17
    PERSON_MODES = 18
    MEASUREMENT = 19
    # A session, segment or run of a person
    SERIES = 20
    VOXEL_NOISE = 21
    MAP_NOISE = 22
    MOTION = 23
    NUISANCE = 24
    RUN_SERIES = 25
    RUN_NOISE = 26
    TAILS = 28
    MAP_TAILS = 29
    # A simulated network of regions
    STRUCTURE = 30
    REGIONS = 31
    INITIAL_STATE = 32
    SYSTEM_NOISE = 33
    NETWORK_BOLD = 34
    # Simulated twins: what all people share, a person, and what a person does in a run
    TWIN_WORLD = 40
    TWIN_PERSON = 41
    TWIN_RESPONSES = 42
    TWIN_PLACES = 44
    TWIN_REST = 45
    TWIN_IMAGE = 46
    TWIN_RESPONSE_SIZES = 52
    TWIN_AMPLITUDE = 53
    TWIN_TASK_BOLD = 54


def stream(
    seed: int,
    purpose: Purpose,
    *,
    cohort: int = 0,
    person: int = 0,
    session: int = 0,
    segment: int = 0,
) -> np.random.Generator:
    """Open the stream of one purpose; the same keys give the same numbers.

    Raises
    ------
    ValueError
        A key is negative or exceeds 32 bits, so that two people could share a stream.
    """
    keys = (int(purpose), int(cohort), person, session, segment)
    if not all(0 <= key < 2**32 for key in keys) or seed < 0:
        raise ValueError(
            f"seed and keys of a stream are 0 to 2^32 - 1, not {(seed, *keys)}"
        )
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=keys))
