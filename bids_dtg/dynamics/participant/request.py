"""What a call for series and network parameters asks for, found and checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bids_dtg.cleaning.words import Lacking
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.dynamics.bundle.bundle import NetworkBundle, load_network_bundle
from bids_dtg.dynamics.networks import LEAST_FRAMES
from bids_dtg.dynamics.panels.presentation import PRESENTATION
from bids_dtg.dynamics.panels.words import ModelOfNetworks, ParcelMethods
from bids_dtg.dynamics.participant.output_people import MOST_FILLED
from bids_dtg.engine.capacity import divide
from bids_dtg.errors import BundleError, DtgError, RunError, SettingsError
from bids_dtg.files.derivatives import refuse_model_folder
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.structural import StructuralMatrix, StructuralSource, find_structural
from bids_dtg.notices import counted
from bids_dtg.participants.dry_run import head_of, plan_runs
from bids_dtg.participants.parcels.atlas import read_only_atlas
from bids_dtg.participants.parcels.request import BYTES_READ, ParcelRequest
from bids_dtg.participants.request import Asked
from bids_dtg.participants.sets import RunSet
from bids_dtg.report.methods import methods_text
from bids_dtg.report.presentation import Presentation
from bids_dtg.settings import OPTIONS, Combine, Settings

# Of a process with torch.
_BYTES_MODELLED = 900e6


@dataclass(frozen=True, eq=False)
class NetworkRequest(ParcelRequest):
    """What a call asks for. Steps of the work get what they use of it."""

    presentation: ClassVar[Presentation] = PRESENTATION

    bundle: NetworkBundle | None  # the model; None: series and connectivity alone
    structural: StructuralSource | None  # of structural connectomes; None: none were given

    @classmethod
    def prepare(cls, settings: Settings) -> NetworkRequest:
        """Check everything that can be checked before anything is written.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, dataset or model.
        """
        asked = Asked.of(settings)
        settings = asked.settings
        bundle, structural = _bundle(settings), find_structural(settings)
        if bundle is not None:
            refuse_model_folder(asked.output, bundle.path)
            if structural is None:
                raise SettingsError(
                    "--model was given without --structural-connectivity",
                    expected="both: the model reads each participant's structural connectome",
                    remedy="give it, or leave out --model for series and functional connectivity",
                )
        own = "" if bundle is None else bundle.part.atlas
        atlas = read_only_atlas(settings, cls.presentation.name, own)
        if bundle is not None:
            bundle.require_regions(
                tuple(atlas.parcels.values()), atlas=atlas.key, atlas_digest=atlas.digest
            )
        capacity = divide(
            settings.resources,
            units=len(asked.participants),
            bytes_each=BYTES_READ if bundle is None else _BYTES_MODELLED,
            on_cpu=True,
        )
        return cls(**asked.prepared(capacity), atlas=atlas, bundle=bundle, structural=structural)

    @property
    def combine(self) -> Combine:
        """Results are of single runs: series are not averaged."""
        return "run"

    @property
    def model_folder(self) -> Path | None:
        """The folder of the model; None: the call has none."""
        return None if self.bundle is None else self.bundle.path

    @property
    def simulations(self) -> int:
        """How many sessions are simulated of each run."""
        return 0 if self.bundle is None else self.settings.dynamics.simulations

    def why_not_modelled(self) -> str | None:
        """Say why no run is modelled; None where the call has a model."""
        return "no --model was given" if self.bundle is None else None

    def notes(self) -> Iterable[str]:
        """Yield lines on the atlas and the model."""
        yield f"series of the {counted(len(self.regions), 'parcel')} of {self.atlas.key}"
        if self.bundle is None:
            yield "series and functional connectivity alone: no --model was given"
        elif self.bundle.card.notice:
            yield f"{self.bundle.card.name}: {self.bundle.card.notice}"

    def structural_of(self, planned: RunSet) -> StructuralMatrix | None:
        """Read the structural connectome of a set's participant; None: none were given.

        Raises
        ------
        RunError
            The participant has none, or one that cannot be used.
        """
        if self.structural is None:
            return None
        session = dict(planned.entities).get("ses")
        return self.structural.of(planned.participant, session, self.regions)

    def input_files(self, planned: RunSet) -> Iterable[Path]:
        """Yield the files that a set depends on."""
        yield from super().input_files(planned)
        structural = self.structural_of(planned)
        if structural is not None:
            yield structural.path

    def shaping_options(self) -> dict[str, Any]:
        """Return all that shapes results beside the inputs."""
        found = super().shaping_options()
        # By content, among the inputs: a file that lies elsewhere now is the same.
        found["structural_connectivity"] = None if self.structural is None else "given"
        if self.bundle is not None:
            found |= {"model": self.bundle.identity, "simulations": self.simulations}
            found["seed"] = self.settings.modelling.seed
        return found

    def require_fits(self, design: TemporalDesign) -> None:
        """Refuse a run that the model cannot describe.

        Raises
        ------
        RunError
            Its repetition time, the number of its frames, or how many of them would be filled.
        """
        if self.bundle is None:
            return
        kept = np.flatnonzero(design.keep)
        frames = int(kept[-1] - kept[0]) + 1 if len(kept) else 0
        self.bundle.require_frames(design.tr_seconds, frames)
        share = 1 - len(kept) / frames
        if share > MOST_FILLED:
            raise RunError(
                f"{share:.0%} of the {frames} frames from the first to the last that is kept were "
                "left out, and would be filled for the model",
                expected=f"at most {MOST_FILLED:.0%}",
                remedy="raise --fd-threshold, or leave out the run with --run",
            )

    def plan(self, planned: RunSet, reason: str) -> tuple[bool, list[str]]:
        """Return whether a run would fail, and the lines about it."""
        designs: list[TemporalDesign] = []

        def design_of(run: RestRun) -> TemporalDesign:
            designs.append(self.design_of(run))
            return designs[-1]

        fails, lines = plan_runs(planned, design_of)
        if fails:
            return True, lines
        try:
            self.require_fits(designs[-1])
        except DtgError as err:
            return True, [f"{planned.title}: would fail: {err}"]
        what = f"series of {counted(len(self.regions), 'parcel')}"
        what += "" if self.bundle is None else f" and parameters by {self.bundle.card.name}"
        return False, [head_of(planned, what, self.output, reason), *lines]

    def methods(self, lacking: Lacking) -> str:
        """Write the methods text of sets whose runs' tables of confounds lack something."""
        settings, bundle = self.settings, self.bundle
        words = ParcelMethods(
            atlas=self.atlas.key,
            parcels=len(self.regions),
            min_coverage=settings.outputs.min_coverage,
            structural=self._structural_words,
            model=None if bundle is None else _model_words(bundle),
            simulations=self.simulations,
            most_filled=MOST_FILLED,
            least_frames=LEAST_FRAMES,
        )
        facts = self.methods_facts(lacking, bundle)
        return methods_text(facts, self.presentation.methods_words(words, settings.outputs))

    @property
    def _structural_words(self) -> str:
        if self.structural is None:
            return ""
        return (
            "one matrix for all participants"
            if self.structural.is_shared
            else "a matrix of each participant"
        )


def _model_words(bundle: NetworkBundle) -> ModelOfNetworks:
    part = bundle.part
    scaled = "" if part.structural == "linear" else f"scaled by the rule {part.structural}"
    return ModelOfNetworks(
        regions=part.regions,
        people=part.people,
        data_set=part.data_set,
        amortised=part.recipe.amortised,
        scaled=scaled,
    )


def _bundle(settings: Settings) -> NetworkBundle | None:
    """Load the model; None: none was given.

    Raises
    ------
    BundleError
        There is none of that name, it is damaged, or it infers nobody but those it was fitted to.
    """
    if settings.inputs.model == OPTIONS["model"].field.default:
        return None
    bundle = load_network_bundle(settings.inputs.model)
    if not bundle.part.recipe.amortised:
        raise BundleError(
            f"the model {bundle.card.name} knows only the people it was fitted to",
            expected="a model with amortised encoders, which infer anybody",
            remedy="train one with --recipe amortised, or leave out --model",
        )
    bundle.check_weights()
    return bundle
