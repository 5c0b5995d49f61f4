"""People with rest and measured maps: their arrays, made once and kept memory-mapped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg import __version__
from bids_dtg.bids.array_store import ArrayStore
from bids_dtg.bids.provenance import file_fingerprint
from bids_dtg.bids.statmaps import Statistic, StatMap, find_statmaps, plain_contrast
from bids_dtg.bundles.card import BRAIN_MASK_FILE, MAPS_FILE, MASK_FILE
from bids_dtg.contrasts.labels import Contrast, hcp_contrasts
from bids_dtg.errors import DatasetError, DtgError, RunError
from bids_dtg.imaging.statmap import read_statmap
from bids_dtg.workflows.job import Job
from bids_dtg.workflows.progress import Clock
from bids_dtg.workflows.rest import measure_rest_run
from bids_dtg.workflows.temporal_design import TooShortError

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Person:
    """One participant's arrays over the model's mask, memory-mapped."""

    label: str  # without sub-
    connectomes: NDArray[np.float16]  # (segments, rois, voxels)
    seconds: tuple[float, ...]  # of rest in each segment
    sessions: tuple[NDArray[np.float32], ...]  # measured (contrasts, voxels), NaN: not measured

    @property
    def maps(self) -> NDArray[np.float32]:
        """The maps of the first session; those of a second are a retest."""
        return self.sessions[0]

    def mean_connectome(self) -> NDArray[np.float32]:
        """Return the mean over segments, weighted by their time, (rois, voxels)."""
        total = np.zeros(self.connectomes.shape[1:], np.float32)
        for one, seconds in zip(self.connectomes, self.seconds, strict=True):
            total += np.float32(seconds / sum(self.seconds)) * one
        return total


@dataclass(frozen=True, eq=False)
class Cohort:
    """Everybody who has both scans."""

    people: tuple[Person, ...]  # sorted by label
    contrasts: tuple[Contrast, ...]  # rows of the maps
    statistic: Statistic  # of the maps
    left_out: Mapping[str, str]  # label -> why, of those who have maps
    failed: int  # how many of those because their data cannot be used

    def of(self, labels: Sequence[str]) -> tuple[Person, ...]:
        """Return some people, in the order of the labels."""
        known = {person.label: person for person in self.people}
        return tuple(known[label] for label in labels)


def gather_cohort(
    job: Job, place: Path, store: ArrayStore, contrasts: Sequence[Contrast] | None, tell: Tell
) -> Cohort:
    """Read everybody's rest and maps, or take from the store what an earlier call has read.

    Parameters
    ----------
    job
        Input dataset, participants, and the bundle whose grid, masks and ROI maps are used.
    place
        Of the measured maps, for `find_statmaps`.
    store
        Where arrays are kept.
    contrasts
        Rows of the maps; None: all that the maps have, or the option `--contrast`.
    tell
        Told a line for each person.

    Raises
    ------
    DatasetError
        Nobody has both scans, or maps hold different statistics.
    """
    space = job.bundle.grid.space
    found = [one for one in find_statmaps(place) if one.space in (None, space)]
    rows = _rows(found, contrasts, job)
    wanted = {plain_contrast(row.label): row.index for row in rows}
    found = [one for one in found if plain_contrast(one.contrast) in wanted]
    statistics = sorted({one.statistic for one in found})
    if len(statistics) != 1:
        raise DatasetError(
            f"{place} has maps of {' and '.join(statistics) or 'no known contrast'} in {space}",
            expected="one statistic for everybody",
        )
    by_person: dict[str, list[StatMap]] = {}
    for one in found:
        by_person.setdefault(one.participant, []).append(one)
    people, left_out, failed = [], {}, 0
    for number, (label, maps) in enumerate(sorted(by_person.items()), start=1):
        if label not in job.participants:
            left_out[label] = "no rest"
            continue
        tell(f"{number}/{len(by_person)} sub-{label}")
        try:
            people.append(_person(label, maps, wanted, job, store))
        except DtgError as err:
            left_out[label], failed = str(err), failed + 1
            tell(f"sub-{label} is left out: {err}")
    if not people:
        raise DatasetError(
            f"nobody in {job.dataset.root} has usable rest and maps in {place}",
            expected=f"the same labels; maps are of {', '.join(sorted(by_person)[:5])}",
        )
    return Cohort(tuple(people), rows, statistics[0], left_out, failed)


def _rows(
    found: Sequence[StatMap], contrasts: Sequence[Contrast] | None, job: Job
) -> tuple[Contrast, ...]:
    """Return the contrasts to work on, numbered anew."""
    present = {plain_contrast(one.contrast): one.contrast for one in found}
    known = {plain_contrast(one.label): one for one in hcp_contrasts()}
    known |= {plain_contrast(one.label): one for one in job.bundle.contrasts}
    asked = [plain_contrast(label) for label in job.settings.contrast]
    if unknown := [key for key in asked if key not in present]:
        raise DatasetError(
            f"--contrast names {', '.join(unknown)}, which no map is of",
            expected=f"of {', '.join(sorted(present.values())[:60])}",
        )
    if contrasts is not None:
        keys = [plain_contrast(one.label) for one in contrasts]
        keys = [key for key in keys if key in present and (not asked or key in asked)]
    else:
        order = [key for key in known if key in present]
        keys = [
            key for key in order + sorted(set(present) - set(order)) if not asked or key in asked
        ]
    if not keys:
        raise DatasetError(
            "no measured map is of a contrast of the model",
            expected=f"labels as {', '.join(list(known)[:4])}; found "
            f"{', '.join(sorted(present.values())[:6])}",
        )
    made = []
    for number, key in enumerate(keys):
        label = "".join(letter for letter in present[key] if letter.isalnum())
        one = known.get(key) or Contrast(number, label, "", present[key], present[key])
        made.append(dataclasses.replace(one, index=number))
    return tuple(made)


def _person(
    label: str, maps: Sequence[StatMap], rows: Mapping[str, int], job: Job, store: ArrayStore
) -> Person:
    sessions = sorted({one.session or "" for one in maps})
    measured = tuple(
        _session(
            label,
            session,
            [one for one in maps if (one.session or "") == session],
            rows,
            job,
            store,
        )
        for session in sessions
    )
    connectomes, seconds = _connectomes(label, job, store)
    return Person(label, connectomes, seconds, measured)


def _geometry(job: Job) -> dict[str, str]:
    """Return the checksums of what decides where arrays lie and what their ROIs are."""
    files = job.bundle.card.files
    return {name: files[name] for name in (BRAIN_MASK_FILE, MAPS_FILE, MASK_FILE)}


def _cleaning(job: Job) -> dict[str, Any]:
    """Return the options that connectomes depend on; others would only make them be read again."""
    fields = dataclasses.fields(job.settings)
    names = [f.name for f in fields if f.metadata["group"] == "cleaning"]
    known = job.settings.result_options
    return {name: known[name] for name in names if name in known}


def _session(
    label: str,
    session: str,
    maps: Sequence[StatMap],
    rows: Mapping[str, int],
    job: Job,
    store: ArrayStore,
) -> NDArray[np.float32]:
    name = f"sub-{label}/ses-{session or 'only'}_maps"
    facts = {
        "geometry": _geometry(job),
        "rows": dict(rows),
        "files": {
            str(path): dataclasses.asdict(file_fingerprint(path))
            for one in maps
            for path in one.files
        },
    }
    if not store.has(name, facts):
        voxels = int(np.count_nonzero(job.bundle.mask))
        array = np.full((len(rows), voxels), np.nan, np.float32)
        for one in maps:
            # Runs of one session are averaged where all of them have a value.
            array[rows[plain_contrast(one.contrast)]] = np.mean(
                [read_statmap(path, job.bundle.grid, job.bundle.mask) for path in one.files], axis=0
            )
        store.write(name, array, facts)
    return store.read(name)


def _connectomes(
    label: str, job: Job, store: ArrayStore
) -> tuple[NDArray[np.float16], tuple[float, ...]]:
    name = f"sub-{label}/connectomes"
    planned = job.map_sets(label)
    facts: dict[str, Any] = {
        "geometry": _geometry(job),
        "segment_seconds": job.bundle.card.segment_seconds,
        "options": _cleaning(job),
        "version": __version__,
        "inputs": {
            path: dataclasses.asdict(one)
            for plan in planned
            for path, one in job.fingerprints(plan).items()
        },
    }
    if not store.has(name, facts):
        segments: list[NDArray[np.float16]] = []
        seconds: list[float] = []
        for run in (run for plan in planned for run in plan.runs):
            try:
                measured = measure_rest_run(
                    run,
                    job.bundle,
                    job.voxels,
                    job.settings,
                    arrays=job.arrays,
                    threads=job.threads,
                    clock=Clock(),
                    progress=lambda share: None,
                )
            except TooShortError:
                continue
            for one in measured.connectomes.segments:
                segments.append(one.r.astype(np.float16))
                seconds.append(one.seconds)
        if not segments:
            raise RunError(f"sub-{label} has no run of rest that is long enough")
        store.write(name, np.stack(segments), facts, {"seconds": seconds})
    return store.read(name), tuple(store.notes(name)["seconds"])
