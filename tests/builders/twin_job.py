"""A small job of `--workflow twin`: runs of rest, an atlas, event files, and a model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from network_job import REGIONS, NetworkJob
from twin_bundle import TINY_TWIN_RECIPE, tiny_fitted_twin, write_tiny_twin
from twin_people import LABELS, events_of, write_twins

from bids_dtg.twin.recipe import Recipe

FACES, STROOP = "hammerAP", "stroopAP"
EDGES = len(REGIONS) * (len(REGIONS) - 1) // 2


class TwinJob(NetworkJob):
    """A raw dataset with event files, its derivatives, an atlas and an output folder.

    Simulated people lend their event files: `give` takes one of them for a participant.
    """

    workflow = "twin"

    def __init__(
        self, folder: Path, participants: tuple[str, ...] = ("01", "02")
    ) -> None:
        super().__init__(folder, participants)
        self.raw = folder / "raw"
        self.raw.mkdir()
        described = {"Name": "Toy", "BIDSVersion": "1.8.0"}
        (self.raw / "dataset_description.json").write_text(json.dumps(described))
        write_twins(folder / "lenders")

    @property
    def read(self) -> Path:
        """What is given as BIDS_DIR."""
        return self.raw

    def arguments(self, *options: object, out: Path | None = None) -> list[str]:
        return super().arguments("--derivatives", self.bids, *options, out=out)

    def give(
        self, participant: str, task: str, lender: int = 0, session: str = ""
    ) -> Path:
        """Copy the event file of a simulated person; return its path."""
        of_session = f"ses-{session}" if session else ""
        folder = self.raw / f"sub-{participant}" / of_session / "func"
        folder.mkdir(parents=True, exist_ok=True)
        visit = f"_ses-{session}" if session else ""
        path = folder / f"sub-{participant}{visit}_task-{task}_events.tsv"
        return Path(
            shutil.copy(events_of(self.folder / "lenders", LABELS[lender], task), path)
        )

    def model(
        self,
        name: str = "tiny",
        *,
        architecture: str = "lowrank",
        recipe: Recipe = TINY_TWIN_RECIPE,
        bold: bool = False,
        **facts: object,
    ) -> Path:
        """Write the bundle of a small twin of the job's parcels; `facts` for its card."""
        defaults = {"name": name, "regions": REGIONS}
        fitted = tiny_fitted_twin(architecture, recipe, edges=EDGES, bold=bold)
        if architecture == "lowrank":  # random weights alone answer hardly any trial
            with torch.no_grad():
                fitted.twin.network.output_bias += 2.0
                fitted.twin.edge_weights *= 0.05
        folder = self.folder / name
        return write_tiny_twin(folder, fitted, **(defaults | facts)).path
