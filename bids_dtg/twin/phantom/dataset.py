"""Simulated people as data sets: rest as fMRIPrep leaves it, an atlas, event files, the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_dtg.files.text import write_text, write_tsv
from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.phantom.bold_run import BoldRun
from bids_dtg.phantom.derivatives import WARNING, describe_dataset, write_series
from bids_dtg.phantom.nuisance import persistence_of
from bids_dtg.phantom.parcels import Parcels
from bids_dtg.phantom.region_run import draw_region_run, require_length
from bids_dtg.phantom.regions import draw_positions, region_names
from bids_dtg.phantom.streams import Cohort, Purpose, stream
from bids_dtg.twin.phantom.files import write_connectomes, write_events, write_truth
from bids_dtg.twin.phantom.people import TwinPeople, simulate_twin_people
from bids_dtg.twin.phantom.rest import draw_rest, possible_edges
from bids_dtg.twin.phantom.sequences import SEQUENCES, trial_sequence

# Of the data sets, by their folders.
CONTENTS = {
    "fmriprep": "resting-state BOLD, as fMRIPrep leaves it",
    "atlas": "the simulated regions, as a label image",
    "bids": "event files of tasks: a raw dataset without images",
}
TRUTH = "truth"  # folder of connectomes and parameters, which nobody has of real people
_IGNORE = "*_timeseries.*\ntpl-*\n"  # not in the validator's schema
_BLOCK = 2  # voxels of 4 mm: eight times smaller than 2 mm ones


@dataclass(frozen=True)
class TwinPlan:
    """Who is simulated, for how long they rest, and what they perform.

    Raises
    ------
    ValueError
        Too few or too many frames, frames too short or too long, or a sequence that does not ship.

    Examples
    --------
    >>> TwinPlan(people=2).sequences
    ('hammerAP', 'stroopAP')
    """

    people: int = 3
    regions: int = 20  # in two hemispheres
    frames: int = 300
    repetition_time_s: float = 1.5  # seconds a frame
    seed: int = 0
    sequences: tuple[str, ...] = ("hammerAP", "stroopAP")

    def __post_init__(self) -> None:
        require_length(self.frames, self.repetition_time_s, of="rest")
        if unknown := [name for name in self.sequences if name not in SEQUENCES]:
            raise ValueError(f"shipped sequences are {', '.join(SEQUENCES)}, not {unknown[0]}")


@dataclass(frozen=True, eq=False)
class TwinPhantom:
    """People whose connectome tells how they perform, and where its regions lie in the brain.

    Examples
    --------
    >>> phantom = TwinPhantom.of(TwinPlan(people=2, regions=8, frames=100), block=4)
    >>> phantom.people.connectomes.shape, phantom.draw_run(1).frames, phantom.parcels.names[0]
    ((2, 28), 100, 'lh-r01')
    """

    plan: TwinPlan
    people: TwinPeople  # their connectomes are exactly those of the series
    parcels: Parcels

    @classmethod
    def of(cls, plan: TwinPlan, *, block: int = _BLOCK) -> TwinPhantom:
        """Simulate people; the same plan gives the same people.

        Parameters
        ----------
        plan
            Who is simulated.
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
        return cls(plan, people, Parcels.around(places, names, load_anatomy(block)))

    def draw_run(self, person: int) -> BoldRun:
        """Draw a person's rest: series that correlate as the connectome says, noise, nuisance."""
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

    def write(
        self, out: Path, *, generator: Mapping[str, Any], report: Callable[[str], None]
    ) -> Path:
        """Write all data sets; the same phantom gives the same bytes.

        Parameters
        ----------
        out
            Folder, made as needed: ``fmriprep``, ``atlas``, ``bids`` (an event file for each
            person and sequence) and ``truth``: connectomes before noise (``connectomes.npz``),
            true parameters, mean response times and shares of correct responses (``truth.tsv``).
        generator
            Entry of `GeneratedBy`.
        report
            Is given a line for each person.

        Returns
        -------
        The atlas, as ``--atlases`` takes it.
        """
        self._describe(out, generator)
        self._write_truth(out / TRUTH)
        sequences = [trial_sequence(name) for name in self.plan.sequences]
        runs = self.people.runs(sequences, seed=self.plan.seed)
        write_events(out / "bids", self.people, sequences, runs)
        image = self.parcels.write(out / "atlas")
        for person, label in enumerate(self.people.labels):
            entities = {"sub": label, "task": "rest"}
            write_series(out / "fmriprep", self.draw_run(person), entities)
            report(f"sub-{label} is written ({person + 1} of {self.plan.people})")
        return image

    def _write_truth(self, folder: Path) -> None:
        write_connectomes(folder / "connectomes.npz", self.people, self.parcels.names)
        write_truth(folder / "truth.tsv", self.people)
        words = "Connectomes, parameters and mean response times that were simulated."
        write_text(folder / "README", f"{words} {WARNING}\n")

    def _describe(self, out: Path, generator: Mapping[str, Any]) -> None:
        plan = self.plan
        recipe = {
            "Model": "drift diffusion, parameters told by the connectome",
            "Seed": plan.seed,
            "People": plan.people,
            "Regions": plan.regions,
            "Frames": plan.frames,
            "RepetitionTime": plan.repetition_time_s,
            "Sequences": list(plan.sequences),
        }
        for name, content in CONTENTS.items():
            describe_dataset(
                out / name,
                name=f"SIMULATED twins, seed {plan.seed}: {content}",
                content=content,
                generator=generator,
                recipe=recipe,
                ignored=_IGNORE,
                kind="raw" if name == "bids" else "derivative",
            )
        rows = [(f"sub-{label}",) for label in self.people.labels]
        write_tsv(out / "fmriprep" / "participants.tsv", ["participant_id"], rows)
