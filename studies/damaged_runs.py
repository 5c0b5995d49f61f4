"""Simulated runs for `out_of_distribution.py`, intact or damaged in known ways.

A person's run is simulated once and then read with the wrong affine, the wrong space, too few
frames, a cut field of view, no cleaning or another one, more smoothing, or what another scanner
makes of it. The other steps from frames to a connectome are the program's own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.participant.measure import ModelVoxels
from bids_dtg.contrasts.phantom.model import Person
from bids_dtg.phantom.fields import FWHM_PER_SD
from bids_dtg.settings import CleaningOptions

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from demo_distribution import SIMPLE, Length, SimulatedRun, brain_positions

# FSL's MNI152 to Talairach space (icbm_fsl2tal; Lancaster et al. 2007, Hum. Brain Mapp. 28: 1194).
_MNI_TO_TALAIRACH = np.array(
    [
        [0.9464, 0.0034, -0.0026, -1.0680],
        [-0.0083, 0.9479, -0.0580, -1.0239],
        [0.0053, 0.0617, 0.9010, 3.1883],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


@dataclass(frozen=True, eq=False)
class Damage:
    """A damage to a run; by default none."""

    name: str  # in the table
    # From a point in the file to the place of its content, both in mm of the model's space.
    content: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    shift_mm: float = 0.0  # its axis and direction differ between people
    minutes: float | None = None  # kept, from the first; None: all
    cut_below_mm: float | None = None  # no signal at lower z
    cut_above_mm: float | None = None  # no signal at higher z
    cleaning: CleaningOptions | None = SIMPLE  # None: nothing is removed
    smoothed_mm: float = 0.0  # FWHM of a smoothing of the frames
    noise: float = 1.0  # by so many times a place varies more, by noise that is white in space
    gain: float = 1.0  # of a receiver coil: the intensity at one end of an axis over the other's


DAMAGES = (
    Damage("none"),
    Damage("grid shifted by 4 mm", shift_mm=4.0),
    Damage("grid shifted by 8 mm", shift_mm=8.0),
    Damage("left and right swapped", np.diag([-1.0, 1.0, 1.0, 1.0])),
    Damage("Talairach space read as MNI", np.linalg.inv(_MNI_TO_TALAIRACH)),
    Damage("80 frames (2 minutes)", minutes=2.0),
    Damage("lowest 4 cm missing", cut_below_mm=-32.0),
    Damage("highest 3 cm missing", cut_above_mm=50.0),
    Damage("no cleaning", cleaning=None),
    Damage("global signal removed as well", cleaning=replace(SIMPLE, gsr=True)),
    Damage("smoothed by 6 mm", smoothed_mm=6.0),
    Damage("smoothed by 10 mm", smoothed_mm=10.0),
    Damage("another scanner: a fifth less tSNR", noise=1.25),
    Damage("another scanner: half the tSNR", noise=2.0),
    Damage("another scanner: a coil of four times the gain in front", gain=4.0),
)
# Strategies of cleaning, each of runs that have nothing else.
CLEANINGS = (
    Damage("simple"),
    Damage("scrubbing", cleaning=CleaningOptions(denoise_strategy="scrubbing")),
    Damage("compcor", cleaning=CleaningOptions(denoise_strategy="compcor")),
)


def damaged_runs(
    person: Person,
    length: Length,
    bundle: ModelBundle,
    voxels: ModelVoxels,
    damages: tuple[Damage, ...],
) -> Iterator[tuple[Damage, RunConnectomes]]:
    """Simulate a run of a person, and read it with each damage."""
    run = SimulatedRun.of(person, length)
    for damage in damages:
        yield (
            damage,
            replace(run, frames=_frames(run, damage, person)).connectomes(
                _source(damage, person, bundle, voxels),
                bundle,
                voxels,
                cleaning=damage.cleaning,
                minutes=damage.minutes,
            ),
        )


def _frames(run: SimulatedRun, damage: Damage, person: Person) -> NDArray[np.float32]:
    """Return a run's frames (frames, brain voxels) as another scanner or a smoothing leaves them.

    Confounds stay those of the intact run: they come from means over many places.
    """
    frames, anatomy = run.frames, person.phantom.anatomy
    if damage.gain != 1:
        front = np.flatnonzero(anatomy.brain) // anatomy.brain.shape[2] % anatomy.brain.shape[1]
        frames = frames * (damage.gain ** (front / front.max())).astype(np.float32)
    if damage.noise != 1:
        more = np.sqrt(damage.noise**2 - 1) * frames[run.non_steady :].std(axis=0)
        rng = np.random.default_rng([person.phantom.seed, person.cohort, person.index])
        frames = frames + rng.standard_normal(frames.shape, dtype=np.float32) * more
    if damage.smoothed_mm:
        sd = damage.smoothed_mm / FWHM_PER_SD / anatomy.grid.voxel_sizes_mm
        volumes = np.zeros((len(frames), *anatomy.brain.shape), np.float32)
        volumes[:, anatomy.brain] = frames
        volumes = gaussian_filter(volumes, (0.0, *sd), mode="constant")
        frames = volumes[:, anatomy.brain]
    return frames


def mask_overlap(damage: Damage, person: Person, bundle: ModelBundle, voxels: ModelVoxels) -> float:
    """Return the Dice overlap of the model's brain mask and the damaged run's."""
    source = _source(damage, person, bundle, voxels)
    shared = int(((source >= 0) & voxels.in_brain).sum())
    brain = bundle.brain.number
    cut = damage.cut_below_mm is not None or damage.cut_above_mm is not None
    of_run = shared if cut else brain / abs(np.linalg.det(damage.content))
    return 2 * shared / (of_run + brain)


def _source(
    damage: Damage, person: Person, bundle: ModelBundle, voxels: ModelVoxels
) -> NDArray[np.intp]:
    """Return for each model voxel the brain voxel whose signal it shows, -1 for none."""
    affine, shape = bundle.grid.affine, bundle.grid.shape
    index = np.stack(np.unravel_index(voxels.places.positions, shape))
    points = affine[:3, :3] @ index + affine[:3, 3:]
    content = damage.content[:3, :3] @ points + damage.content[:3, 3:]
    axis, sign = divmod(person.index, 2)
    content[axis % 3] += (1 - 2 * sign) * damage.shift_mm
    inverse = np.linalg.inv(affine)
    found = np.rint(inverse[:3, :3] @ content + inverse[:3, 3:]).astype(np.intp)
    inside = ((found >= 0) & (found < np.array(shape)[:, None])).all(axis=0)
    if damage.cut_below_mm is not None:
        inside &= points[2] >= damage.cut_below_mm
    if damage.cut_above_mm is not None:
        inside &= points[2] <= damage.cut_above_mm
    brain = brain_positions(bundle)
    source = np.full(inside.shape, -1)
    source[inside] = brain[tuple(found[:, inside])]
    return source
