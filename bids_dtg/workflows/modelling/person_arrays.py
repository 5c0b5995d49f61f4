"""People's connectomes and measured maps as arrays on disk: made once, then memory-mapped."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.card import BRAIN_MASK_FILE, MAPS_FILE, MASK_FILE
from bids_dtg.cleaning.design import TooShortError
from bids_dtg.contrasts.maps import segment_weight
from bids_dtg.contrasts.people import Person
from bids_dtg.engine.display import Reporter
from bids_dtg.errors import RunError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.provenance import file_fingerprint
from bids_dtg.inputs.statmaps import StatMap
from bids_dtg.settings import OPTIONS
from bids_dtg.version import __version__
from bids_dtg.workflows.modelling.cohort_plan import CohortPlan
from bids_dtg.workflows.participant.measure import Reader
from bids_dtg.workflows.participant.request import Request
from bids_dtg.workflows.participant.sets import MapSet


@dataclass(frozen=True, eq=False)
class PersonArrays:
    """The arrays of the people of a plan.

    Raises
    ------
    DtgError
        By each method: a person's data cannot be used.
    """

    request: Request  # input dataset, bundle and options
    plan: CohortPlan  # whose maps, and which rows they have
    store: ArrayStore  # where arrays are kept

    def are_made(self, label: str) -> bool:
        """Tell whether all arrays of a person are there, made from what there is now."""
        return all(
            self.store.has(name, self._facts_of_maps(maps))
            for name, maps in self._maps(label).items()
        ) and self.store.has(_rest(label), self._facts_of_rest(self.request.map_sets(label)))

    def make(self, label: str, reporter: Reporter, *, reader: Reader) -> None:
        """Make those arrays of a person that are not there.

        Parameters
        ----------
        label
            Without sub-.
        reporter
            Shows how far it is.
        reader
            Reduces the person's runs of rest.
        """
        reporter.stage("measured maps", 0.0)
        for name, maps in self._maps(label).items():
            facts = self._facts_of_maps(maps)
            if not self.store.has(name, facts):
                self.store.write(name, self._read_maps(maps), facts)
        planned = self.request.map_sets(label)
        facts = self._facts_of_rest(planned)
        if not self.store.has(_rest(label), facts):
            segments, weights = _measure_rest(planned, reader, reporter)
            if not segments:
                raise RunError(f"sub-{label} has no run of rest with enough left after cleaning")
            self.store.write(_rest(label), np.stack(segments), facts, {"weights": weights})
        reporter.finish("read")

    def open(self, label: str) -> Person:
        """Map a person's arrays, which are there; all of them are read once, and compared."""
        return Person(
            label,
            self.store.read(_rest(label)),
            tuple(self.store.notes(_rest(label))["weights"]),
            tuple(self.store.read(name) for name in self._maps(label)),
        )

    def _maps(self, label: str) -> dict[str, Mapping[str, StatMap]]:
        """Return whose maps are in which array, by its name: the target first."""
        found = self.plan.people[label]
        sides = {"target": found.target} | ({"retest": found.retest} if found.retested else {})
        return {f"sub-{label}/{side}_maps": maps for side, maps in sides.items()}

    def _facts_of_maps(self, maps: Mapping[str, StatMap]) -> dict[str, Any]:
        return {
            "geometry": self._geometry(),
            "rows": self.plan.rows,
            "files": {
                str(path): dataclasses.asdict(file_fingerprint(path))
                for statmap in maps.values()
                for path in statmap.files
            },
        }

    def _read_maps(self, maps: Mapping[str, StatMap]) -> NDArray[np.float32]:
        bundle, rows = self.request.bundle, self.plan.rows
        array = np.full((len(rows), bundle.places.number), np.nan, np.float32)
        for contrast, statmap in maps.items():
            # Runs of one session are averaged where all of them have a value.
            array[rows[contrast]] = np.mean(
                [bundle.places.read(path) for path in statmap.files], axis=0
            )
        return array

    def _facts_of_rest(self, planned: tuple[MapSet, ...]) -> dict[str, Any]:
        return {
            "geometry": self._geometry(),
            "segment_seconds": self.request.bundle.card.part.segment_seconds,
            "options": self._cleaning(),
            "version": __version__,
            "weighted_by": "dof" if _by_dof(planned) else "seconds",
            "inputs": {
                path: dataclasses.asdict(fingerprint)
                for plan in planned
                for path, fingerprint in self.request.fingerprints(plan).items()
            },
        }

    def _geometry(self) -> dict[str, str]:
        """Return checksums of what decides where arrays lie and what their ROIs are."""
        files = self.request.bundle.card.files
        return {name: files[name] for name in (BRAIN_MASK_FILE, MAPS_FILE, MASK_FILE)}

    def _cleaning(self) -> dict[str, Any]:
        """Return the options that connectomes depend on; others would make them be read again."""
        known = self.request.settings.result_options
        return {
            name: known[name]
            for name, option in OPTIONS.items()
            if option.part == "cleaning" and name in known
        }


def _measure_rest(
    planned: tuple[MapSet, ...], reader: Reader, reporter: Reporter
) -> tuple[list[NDArray[np.float16]], list[float]]:
    """Return a person's segments of rest and what each counts, of all runs long enough."""
    segments: list[NDArray[np.float16]] = []
    weights: list[float] = []
    by_dof = _by_dof(planned)
    for run in (run for plan in planned for run in plan.runs):
        try:
            measured = reader.measure(run, progress=lambda share: reporter.stage("rest", share))
        except TooShortError:
            continue
        for segment in measured.connectomes.segments:
            segments.append(segment.r.astype(np.float16))
            weights.append(segment_weight(segment.seconds, segment.residual_dof, by_dof=by_dof))
    return segments, weights


def _by_dof(planned: tuple[MapSet, ...]) -> bool:
    """Return whether a person's segments are weighted by their residual degrees of freedom."""
    return all(plan.by_dof for plan in planned)


def _rest(label: str) -> str:
    return f"sub-{label}/connectomes"
