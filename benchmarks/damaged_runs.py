"""Simulated runs for `out_of_range.py`, intact or damaged in known ways.

A person's run is simulated once and then read with the wrong affine, the wrong space, too few
frames, a cut field of view or no cleaning. The other steps from frames to a connectome are the
program's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.connectome.connectome import RunConnectomes, run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.moments import Blocks, RunVoxels, measure_run
from bids_dtg.phantom.confounds import SignalRecorder, confounds_table
from bids_dtg.phantom.contrasts.bold import draw_run
from bids_dtg.phantom.contrasts.model import Person, Phantom
from bids_dtg.workflows.participant.measure import ModelVoxels

FRAMES, REPETITION_TIME_S = 300, 1.5
STEP = 1.0 / 127.0  # between stored correlations
_BLOCK = 64  # frames added at once
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
    frames: int = FRAMES  # kept, from the first
    cut_below_mm: float | None = None  # no signal at lower z
    cut_above_mm: float | None = None  # no signal at higher z
    cleaned: bool = True  # whether confounds are removed


DAMAGES = (
    Damage("none"),
    Damage("grid shifted by 4 mm", shift_mm=4.0),
    Damage("grid shifted by 8 mm", shift_mm=8.0),
    Damage("left and right swapped", np.diag([-1.0, 1.0, 1.0, 1.0])),
    Damage("Talairach space read as MNI", np.linalg.inv(_MNI_TO_TALAIRACH)),
    Damage("80 frames (2 minutes)", frames=80),
    Damage("lowest 4 cm missing", cut_below_mm=-32.0),
    Damage("highest 3 cm missing", cut_above_mm=50.0),
    Damage("no cleaning", cleaned=False),
)


def simulate_damaged(
    folder: Path,
    phantom: Phantom,
    bundle: ModelBundle,
    cohort: int,
    people: int,
    damages: tuple[Damage, ...],
) -> Mapping[str, NDArray[np.int8]]:
    """Return connectomes by damage, (people, rois, voxels) in STEP, NaN-free; kept in `folder`.

    The same call resumes a stopped call.
    """
    folder.mkdir(parents=True, exist_ok=True)
    voxels = ModelVoxels.of(bundle)
    shape = (people, len(bundle.roi_maps), voxels.grey_voxels)
    paths = {damage.name: folder / f"{n}.npy" for n, damage in enumerate(damages)}
    mode = "r+" if all(path.exists() for path in paths.values()) else "w+"
    arrays = {
        name: open_memmap(path, mode, np.int8, shape) if mode == "w+" else open_memmap(path, mode)
        for name, path in paths.items()
    }
    record = folder / "done.json"
    done = json.loads(record.read_text()) if mode == "r+" and record.exists() else []
    for index in range(len(done), people):
        person = phantom.person(cohort, index)
        facts = {}
        for name, result in _damaged_runs(person, bundle, voxels, damages):
            (whole,) = result.segments
            arrays[name][index] = np.rint(whole.r / STEP)
            facts[name] = {
                "coverage": result.coverage,
                "roi_coverage": result.roi_coverage.tolist(),
                "series_sd": result.series.std(axis=0).tolist(),
                "seconds": whole.seconds,
            }
        done.append(facts)
        for array in arrays.values():
            array.flush()
        record.write_text(json.dumps(done))
        print(f"{folder.name}: person {index + 1} of {people}", flush=True)
    return arrays


def run_facts(folder: Path) -> list[dict[str, dict[str, object]]]:
    """Return the stored facts about each person's runs, by damage."""
    facts: list[dict[str, dict[str, object]]] = json.loads((folder / "done.json").read_text())
    return facts


def mask_overlap(damage: Damage, person: Person, bundle: ModelBundle, voxels: ModelVoxels) -> float:
    """Return the Dice overlap of the model's brain mask and the damaged run's."""
    source = _source(damage, person, bundle, voxels)
    shared = int(((source >= 0) & voxels.in_brain).sum())
    brain = bundle.brain.number
    cut = damage.cut_below_mm is not None or damage.cut_above_mm is not None
    of_run = shared if cut else brain / abs(np.linalg.det(damage.content))
    return 2 * shared / (of_run + brain)


def _damaged_runs(
    person: Person, bundle: ModelBundle, voxels: ModelVoxels, damages: tuple[Damage, ...]
) -> Iterator[tuple[str, RunConnectomes]]:
    run = draw_run(person, FRAMES, REPETITION_TIME_S)
    signals, blocks = SignalRecorder(run.anatomy), []
    for block in run.blocks():
        signals.add(block)
        blocks.append(block.astype(np.float32, copy=True))
    frames = np.concatenate(blocks)
    table, _ = confounds_table(
        run.motion, signals, non_steady=run.non_steady, repetition_time_s=REPETITION_TIME_S
    )
    simple = [name for name in table if _is_simple(name)]
    confounds = np.stack([table[name] for name in simple], axis=1)
    for damage in damages:
        keep = np.arange(FRAMES) < damage.frames
        keep[: run.non_steady] = False
        design = TemporalDesign.build(
            confounds if damage.cleaned else None,
            simple if damage.cleaned else [],
            keep,
            REPETITION_TIME_S,
        )
        source = _source(damage, person, bundle, voxels)
        yield damage.name, _connectomes(frames, source, design, voxels)


def _is_simple(name: str) -> bool:
    """Whether a column belongs to the strategy `simple`: 24 motion, white matter, CSF, cosines."""
    return name in ("csf", "white_matter") or name.startswith(("trans_", "rot_", "cosine"))


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
    brain = np.full(shape, -1)
    brain[bundle.brain.mask] = np.arange(np.count_nonzero(bundle.brain.mask))
    source = np.full(inside.shape, -1)
    source[inside] = brain[tuple(found[:, inside])]
    return source


def _connectomes(
    frames: NDArray[np.float32],
    source: NDArray[np.intp],
    design: TemporalDesign,
    voxels: ModelVoxels,
) -> RunConnectomes:
    def blocks() -> Blocks:
        for first in range(0, FRAMES, _BLOCK):
            yield first, frames[first : first + _BLOCK][:, source]

    moments = measure_run(
        blocks,
        design,
        RunVoxels(voxels.maps, voxels.grey_voxels, (source >= 0) & voxels.in_brain),
        seconds_per_segment=FRAMES * REPETITION_TIME_S,
    )
    return run_connectomes(moments, every_part=False)
