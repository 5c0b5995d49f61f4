"""Data sets of simulated networks: BOLD as from fMRIPrep, an atlas, connectomes, the truth."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from bids_dtg.array_types import Float32, Float64
from bids_dtg.dynamics.phantom.people import (
    SimulatedPeople,
    simulate_hopf_people,
    simulate_weights,
    write_people,
)
from bids_dtg.dynamics.simulators import STEP_SECONDS, SimulatedTime
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.names import build_path
from bids_dtg.files.text import write_json, write_tsv
from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.phantom.regions import (
    ATLAS,
    BLOCK,
    TRUTH,
    Parcels,
    RegionPhantom,
    RegionPlan,
)
from bids_dtg.phantom.run import simulation_facts
from bids_dtg.phantom.streams import Purpose, stream

_DROPPED_SECONDS = 25.0  # until oscillations reach their amplitude
_STREAMLINES = 1000.0  # of the strongest connection, in QSIRecon's files
_DIGITS = 6  # decimals of a matrix in text
# Without the date that scipy writes.
_HEADER = b"MATLAB 5.0 MAT-file, SIMULATED".ljust(116)


@dataclass(frozen=True, eq=False)
class NetworkPhantom(RegionPhantom):
    """People whose regions are oscillators, and positions of these regions in the brain.

    Examples
    --------
    >>> phantom = NetworkPhantom.of(RegionPlan(people=2, regions=4, frames=100), block=4)
    >>> phantom.people.networks.series.shape, phantom.parcels.names[0]
    ((2, 4, 100), 'lh-r01')
    """

    people: SimulatedPeople
    distances_mm: Float64  # (regions, regions), Euclidean

    image: ClassVar[Purpose] = Purpose.NETWORK_BOLD
    title: ClassVar[str] = "networks"
    model: ClassVar[str] = "Hopf oscillators"
    contents: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "connectomes": "structural connectomes, as relationship matrices (BEP 017)",
            "qsirecon": "the same structural connectomes, in the format of QSIRecon",
        }
    )
    ignored: ClassVar[str] = "*_timeseries.*\n*_relmat.*\n*_connectivity.*\ntpl-*\n"
    truth: ClassVar[str] = "Simulated series and their parameters."

    @classmethod
    def of(cls, plan: RegionPlan, *, block: int = BLOCK) -> NetworkPhantom:
        """Simulate people, see `RegionPhantom.of`."""
        rng = stream(plan.seed, Purpose.STRUCTURE)
        weights, positions, names = simulate_weights(plan.people, plan.regions, rng)
        people = simulate_hopf_people(
            weights, seed=plan.seed, regions=names, time=_time_of(plan)
        )
        distances = np.linalg.norm(positions[:, None] - positions, axis=-1)
        parcels = Parcels.around(positions, names, load_anatomy(block))
        return cls(plan, parcels, people.networks.people, people, distances)

    def draw_rest(self, person: int) -> Float32:
        """Return the oscillators' series of a person, (frames, regions)."""
        series: Float32 = self.people.networks.series[person]
        return series.T

    def write_further_datasets(self, out: Path) -> None:
        """Write connectomes and the truth.

        Parameters
        ----------
        out
            Output folder. It gets ``connectomes`` (a ``relmat.tsv`` for each person), ``qsirecon``
            (a ``.mat`` for each person) and ``truth``, with the regions' series without noise
            (``networks.npz``), their parameters a and f (``truth.tsv``) and each person's coupling
            G (``people.tsv``).
        """
        write_people(out / TRUTH, self.people)
        for person, label in enumerate(self.labels):
            self._write_connectomes(out, person, label)

    def _write_connectomes(self, out: Path, person: int, label: str) -> None:
        weights = self.people.networks.weights[person]
        names = self.parcels.names
        entities = {"sub": label, "atlas": ATLAS, "desc": "structural"}
        name = build_path(entities, "relmat", ".tsv", datatype="dwi")
        path = out / "connectomes" / name
        write_tsv(path, ["name", *names], _rows(names, weights))
        words = {
            "RelationshipMeasure": "simulated weight of the connection; the largest is 1",
            "Weighted": True,
            "Directed": False,
            "ValidDiagonal": False,
        }
        write_json(path.with_suffix(".json"), {**words, **simulation_facts()})
        entities = {"sub": label, "space": "T1w"}
        name = build_path(entities, "connectivity", ".mat", datatype="dwi")
        write_atomic(out / "qsirecon" / name, self._matlab(weights))

    def _matlab(self, weights: Float32) -> bytes:
        """Return a file in QSIRecon's format, with an atlas' matrices, region ids and names."""
        from scipy.io import savemat

        names = self.parcels.names
        streamlines = _STREAMLINES * weights.astype(np.float64)
        lengths_mm = self.distances_mm * (weights > 0)
        stem = f"atlas_{ATLAS}"
        arrays = {
            f"{stem}_region_ids": np.arange(1, len(names) + 1),
            f"{stem}_region_labels": np.array(names),
            f"{stem}_sift_radius2_count_connectivity": streamlines,
            f"{stem}_radius2_meanlength_connectivity": lengths_mm,
        }
        content = io.BytesIO()
        savemat(content, arrays, long_field_names=True)
        return _HEADER + content.getvalue()[len(_HEADER) :]


def _time_of(plan: RegionPlan) -> SimulatedTime:
    """Return steps and frames of the oscillators; the first frames are dropped."""
    seconds = plan.repetition_time_s
    dropped = int(np.ceil(_DROPPED_SECONDS / seconds))
    return SimulatedTime(
        step_seconds=seconds / round(seconds / STEP_SECONDS),
        frame_seconds=seconds,
        seconds=(plan.frames + dropped) * seconds,
        dropped_seconds=dropped * seconds,
    )


def _rows(names: Iterable[str], matrix: Float32) -> Iterator[list[object]]:
    for name, row in zip(names, matrix.tolist(), strict=True):
        yield [name, *(round(value, _DIGITS) for value in row)]
