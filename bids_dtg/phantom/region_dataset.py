"""Simulated people whose regions have series, as data sets of rest, an atlas, and the truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from bids_dtg.files.text import write_text, write_tsv
from bids_dtg.phantom.bold_run import BoldRun
from bids_dtg.phantom.derivatives import WARNING, describe_dataset, write_series
from bids_dtg.phantom.parcels import Parcels
from bids_dtg.phantom.region_run import require_length

BLOCK = 2  # voxels of 4 mm: eight times smaller than 2 mm ones
TRUTH = "truth"  # folder of what nobody has of real people
_RAW = "bids"  # folder of a raw data set
# Of every phantom, by their folders.
_CONTENTS = {
    "fmriprep": "resting-state BOLD, as fMRIPrep leaves it",
    "atlas": "the simulated regions, as a label image",
}


@dataclass(frozen=True)
class RegionPlan:
    """The simulated people, and how long they rest.

    Raises
    ------
    ValueError
        Too few or too many frames, or frames too short or too long.
    """

    people: int = 3
    regions: int = 20  # in two hemispheres
    frames: int = 300
    repetition_time_s: float = 1.5  # seconds a frame
    seed: int = 0

    run_of: ClassVar[str] = "rest"  # what a run is of, for the message

    def __post_init__(self) -> None:
        require_length(self.frames, self.repetition_time_s, of=self.run_of)

    def recipe(self) -> dict[str, Any]:
        """Return the plan as data sets describe themselves by."""
        return {
            "Seed": self.seed,
            "People": self.people,
            "Regions": self.regions,
            "Frames": self.frames,
            "RepetitionTime": self.repetition_time_s,
        }


@dataclass(frozen=True, eq=False)
class RegionPhantom(ABC):
    """People whose regions have series, and where these regions lie in the brain."""

    plan: RegionPlan
    parcels: Parcels

    title: ClassVar[str]  # what is simulated, a plural
    model: ClassVar[str]  # how series or people are simulated, in words
    contents: ClassVar[Mapping[str, str]]  # further data sets, by their folders
    ignored: ClassVar[str]  # files that the validator's schema does not have, a line each
    truth: ClassVar[str]  # what is in the folder `TRUTH`, in words

    @property
    @abstractmethod
    def labels(self) -> Sequence[str]:
        """Labels of the people."""

    @abstractmethod
    def draw_run(self, person: int) -> BoldRun:
        """Draw a person's run of rest."""

    @abstractmethod
    def write_own(self, out: Path) -> None:
        """Write the further data sets, and the truth, but for what describes them."""

    @classmethod
    def folders(cls) -> dict[str, str]:
        """Return what is in each data set, by its folder."""
        return {**_CONTENTS, **cls.contents}

    def write(
        self, out: Path, *, generator: Mapping[str, Any], report: Callable[[str], None]
    ) -> Path:
        """Write all data sets; the same phantom gives the same bytes.

        Parameters
        ----------
        out
            Folder, made as needed: ``fmriprep``, ``atlas``, those of `contents`, and ``truth``.
        generator
            Entry of `GeneratedBy` in the dataset's description.
        report
            Is given a line for each person.

        Returns
        -------
        The atlas, as ``--atlases`` takes it.
        """
        self._describe(out, generator)
        self.write_own(out)
        write_text(out / TRUTH / "README", f"{self.truth} {WARNING}\n")
        image = self.parcels.write(out / "atlas")
        for person, label in enumerate(self.labels):
            entities = {"sub": label, "task": "rest"}
            write_series(out / "fmriprep", self.draw_run(person), entities)
            report(f"sub-{label} is written ({person + 1} of {self.plan.people})")
        return image

    def _describe(self, out: Path, generator: Mapping[str, Any]) -> None:
        for name, content in self.folders().items():
            describe_dataset(
                out / name,
                name=f"SIMULATED {self.title}, seed {self.plan.seed}: {content}",
                content=content,
                generator=generator,
                recipe={"Model": self.model, **self.plan.recipe()},
                ignored=self.ignored,
                kind="raw" if name == _RAW else "derivative",
            )
        rows = [(f"sub-{label}",) for label in self.labels]
        write_tsv(out / "fmriprep" / "participants.tsv", ["participant_id"], rows)
