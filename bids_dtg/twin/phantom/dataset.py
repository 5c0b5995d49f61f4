"""Simulated people as data sets: rest as fMRIPrep leaves it, an atlas, event files, the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.phantom.bold_run import BoldRun
from bids_dtg.phantom.nuisance import persistence_of
from bids_dtg.phantom.parcels import Parcels
from bids_dtg.phantom.region_dataset import BLOCK, TRUTH, RegionPhantom, RegionPlan
from bids_dtg.phantom.region_run import draw_region_run
from bids_dtg.phantom.regions import draw_positions, region_names
from bids_dtg.phantom.streams import Cohort, Purpose, stream
from bids_dtg.twin.phantom.files import write_connectomes, write_events, write_truth
from bids_dtg.twin.phantom.people import TwinPeople, simulate_twin_people
from bids_dtg.twin.phantom.rest import draw_rest, possible_edges
from bids_dtg.twin.phantom.sequences import SEQUENCES, trial_sequence


@dataclass(frozen=True)
class TwinPlan(RegionPlan):
    """Plan of a simulation: people, length of rest, and task sequences.

    Raises
    ------
    ValueError
        Too few or too many frames, frames too short or too long, or a sequence that does not ship.

    Examples
    --------
    >>> TwinPlan(people=2).sequences
    ('hammerAP', 'stroopAP')
    """

    sequences: tuple[str, ...] = ("hammerAP", "stroopAP")

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := [name for name in self.sequences if name not in SEQUENCES]:
            raise ValueError(f"shipped sequences are {', '.join(SEQUENCES)}, not {unknown[0]}")

    def recipe(self) -> dict[str, Any]:
        """Return the plan as fields of the dataset description."""
        return {**super().recipe(), "Sequences": list(self.sequences)}


@dataclass(frozen=True, eq=False)
class TwinPhantom(RegionPhantom):
    """People whose responses depend on their connectome, and the places of its regions.

    Examples
    --------
    >>> phantom = TwinPhantom.of(TwinPlan(people=2, regions=8, frames=100), block=4)
    >>> phantom.people.connectomes.shape, phantom.draw_run(1).frames, phantom.parcels.names[0]
    ((2, 28), 100, 'lh-r01')
    """

    plan: TwinPlan
    people: TwinPeople  # their connectomes are exactly the correlations of the series

    title: ClassVar[str] = "twins"
    model: ClassVar[str] = "drift diffusion, with parameters that depend on the connectome"
    contents: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"bids": "event files of tasks: a raw dataset without images"}
    )
    ignored: ClassVar[str] = "*_timeseries.*\ntpl-*\n"
    truth: ClassVar[str] = "Connectomes, parameters and mean response times that were simulated."

    @classmethod
    def of(cls, plan: TwinPlan, *, block: int = BLOCK) -> TwinPhantom:
        """Simulate people; the same plan gives the same people.

        Parameters
        ----------
        plan
            Numbers of people, regions and frames, and the seed.
        block
            Edge of a voxel, in voxels of 2 mm.

        Raises
        ------
        ValueError
            Regions do not come in pairs, are fewer than 8, or too many for the voxels.
        """
        names = region_names(plan.regions)
        drawn = simulate_twin_people(
            plan.people, "images", regions=plan.regions, seed=plan.seed, cohort=Cohort.DEMO
        )
        people = replace(drawn, connectomes=possible_edges(drawn.connectomes, plan.regions))
        places = draw_positions(plan.regions // 2, stream(plan.seed, Purpose.TWIN_PLACES))
        return cls(plan, Parcels.around(places, names, load_anatomy(block)), people)

    @property
    def labels(self) -> Sequence[str]:
        """Labels of the people."""
        return self.people.labels

    def draw_run(self, person: int) -> BoldRun:
        """Draw a person's rest: series with the connectome's correlations, noise, nuisance."""
        plan = self.plan
        series = draw_rest(
            self.people.connectomes[person],
            plan.regions,
            stream(plan.seed, Purpose.TWIN_REST, person=person),
            frames=plan.frames,
            persistence=persistence_of(plan.repetition_time_s),
        )
        rng = stream(plan.seed, Purpose.TWIN_IMAGE, person=person)
        return draw_region_run(self.parcels, series, rng, repetition_time_s=plan.repetition_time_s)

    def write_own(self, out: Path) -> None:
        """Write event files and the truth.

        Parameters
        ----------
        out
            Folder that gets ``bids`` (an event file for each person and sequence) and ``truth``:
            connectomes before noise (``connectomes.npz``), true parameters, mean response times
            and shares of correct responses (``truth.tsv``).
        """
        write_connectomes(out / TRUTH / "connectomes.npz", self.people, self.parcels.names)
        write_truth(out / TRUTH / "truth.tsv", self.people)
        sequences = [trial_sequence(name) for name in self.plan.sequences]
        runs = self.people.runs(sequences, seed=self.plan.seed)
        write_events(out / "bids", self.people, sequences, runs)
