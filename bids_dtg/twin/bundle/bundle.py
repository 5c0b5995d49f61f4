"""Bundles of digital twins: written from a fit, loaded, and turned into a twin again.

A bundle holds what is needed to read new people's events and to predict their responses: weights,
tasks, and how connectomes were made. It does not name its training participants, but lists them as
sorted hashes (`bids_dtg.bundles.people`), so that evaluations leave them out. Their connectomes,
responses are not in it. Its weights are sums over all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.fields import finite_or_none
from bids_dtg.bundles.fitted import (
    FittedBundle,
    FittedFacts,
    FittedFile,
    FittedPart,
    state_arrays,
    write_fitted,
)
from bids_dtg.bundles.people import ModelPeople, hash_person
from bids_dtg.errors import BundleError
from bids_dtg.notices import counted, named
from bids_dtg.twin.adjustment import Adjustment
from bids_dtg.twin.bundle.part import DIGITAL_TWIN, TwinPart, pairs_of
from bids_dtg.twin.tasks import make_task

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted

Values = NDArray[np.float32]

# Tensors of `FITTED_FILE`; all may be absent.
_REGIONS = "regions"
_COVARIATES, _MEAN, _SLOPES = "covariates", "covariate_mean", "covariate_slopes"
_BOLD = "bold_"  # first part of the names of the read-out's arrays
_BOLD_REGIONS = "bold_regions"
_EDGE_SD = "edge_sd"
CITATION = (
    "Takahashi Y, Soda T, Tomita H, Yamashita Y (2026). Digital Twin Brain: Generating Multitask "
    "Behavior from Connectomes for Personalized Therapy. BME Frontiers 7, 0231. "
    "https://doi.org/10.34133/bmef.0231"
)


@dataclass(frozen=True)
class TwinFacts(FittedFacts):
    """Facts of a digital twin's card that the fit does not know."""

    citation: str = CITATION  # what users are asked to cite
    connectome: str = "unknown"  # how it was made, in words
    regions: tuple[str, ...] = ()  # of a connectome: edges are pairs, row by row; (): no names
    adjustment: Adjustment | None = None  # of the connectomes that the fit got; None: as measured


@dataclass(frozen=True, eq=False, kw_only=True)
class TwinBundle(FittedBundle[TwinPart]):
    """A verified digital twin; `regions` are those of a connectome."""

    PART: ClassVar[type[FittedPart]] = TwinPart

    adjustment: Adjustment | None  # of connectomes before the twin gets them; None: as measured
    bold_regions: tuple[str, ...]  # names of the regions of BOLD of tasks; (): none
    bold_arrays: Mapping[str, NDArray[np.float64]]  # of the read-out, by name

    @classmethod
    def read_fitted(cls, path: Path, part: TwinPart) -> dict[str, Any]:
        """Read the fields of a bundle that are stored in `FITTED_FILE`."""
        found = FittedFile.read(path)
        adjustment = None
        if part.covariates:
            arrays = found.arrays[_MEAN], found.arrays[_SLOPES]
            adjustment = Adjustment(tuple(found.names[_COVARIATES]), *arrays)
        return {
            "adjustment": adjustment,
            "fitted_people": found.people,
            "regions": found.names.get(_REGIONS, ()),
            "bold_regions": found.names.get(_BOLD_REGIONS, ()),
            "bold_arrays": {
                name.removeprefix(_BOLD): values
                for name, values in found.arrays.items()
                if name.startswith(_BOLD)
            },
        }

    def _fits(self, regions: Sequence[str]) -> bool:
        return pairs_of(len(regions)) == self.part.edges and self.regions in ((), tuple(regions))

    def _regions_in_words(self) -> tuple[str, str]:
        known = f" ({named(self.regions)})" if self.regions else ""
        found = f"was fitted to connectomes of {counted(self.part.edges, 'edge')}{known}"
        return found, "train a model on connectomes of these regions"

    def fitted(self) -> Fitted:
        """Return the twin as `bids_dtg.twin.fitting.fit` returned it, with hashes for people.

        It is in eval mode, on the CPU, and its history is in the card's `record`. This imports
        torch.

        Raises
        ------
        BundleError
            The weights fail `check_weights`.
        """
        import torch

        from bids_dtg.twin.bold import BoldReadout
        from bids_dtg.twin.fitting import Fitted, empty_twin

        part, state = self.part, self.state()
        with torch.device("meta"):  # no weights are drawn, and none are in memory twice
            sizes = part.edges, part.task_set, part.bold_regions
            twin = empty_twin(part.architecture, part.recipe, *sizes)
        twin.load_state_dict(state, assign=True)
        return Fitted(
            twin=twin.eval(),
            architecture=part.architecture,
            recipe=part.recipe,
            tasks=part.task_set,
            people=self.fitted_people,
            seed=part.seed,
            history={},
            bold=BoldReadout.of_tensors(
                self.bold_regions, part.bold_tr_seconds, self.bold_arrays, part.task_set
            )
            if self.bold_regions
            else None,
        )

    def tensors(self) -> dict[str, Values]:
        """Read the weights; shapes are compared with the card's before anything else is."""
        tensors = super().tensors()
        if _EDGE_SD in tensors and not (tensors[_EDGE_SD] > 0).all():
            fault = f" has values of 0 or less in {_EDGE_SD}"
            raise self.weights().error(fault, "standard deviations")
        return tensors


def load_twin_bundle(name_or_path: str | Path) -> TwinBundle:
    """Find, verify and load the bundle of a digital twin, without torch.

    Parameters
    ----------
    name_or_path
        Name of an installed bundle (`bids_dtg.bundles.store`), or its folder.

    Raises
    ------
    BundleError
        If there is no such bundle, it is of another kind, a file is missing, damaged or not the
        one that the card lists (SHA-256), or tasks, names, people and weights do not fit the card.
    """
    return TwinBundle.load(name_or_path)


def write_twin_bundle(
    folder: str | Path,
    fitted: Fitted,
    facts: TwinFacts,
    people: ModelPeople | None = None,
) -> TwinBundle:
    """Write the bundle of a fitted digital twin, and load it back from where it was written.

    All is written into a hidden folder beside `folder`, loaded once as a check, and renamed. The
    same input gives the same bytes. People are listed as hashes.

    Parameters
    ----------
    folder
        Where the bundle goes. If the same bundle is there already, nothing is done.
    fitted
        A twin that `bids_dtg.twin.fitting.fit` returned.
    facts
        Facts for the card that the fit does not know.
    people
        Hashes of everybody used to make the model, by name and rest; None: the bundle lists the
        training participants alone.

    Raises
    ------
    BundleError
        If something else is at `folder`, no task file describes a task, names are not plain, the
        parts do not match, or a value is not finite.
    OutputError
        If the folder cannot be written.
    """
    for task in fitted.tasks.tasks:
        if not task.content or make_task(task.content, task.name) != task:
            raise BundleError(
                f"the model was not written: no task file describes the task {task.name}",
                expected="tasks that find_task returns, or make_task",
            )
    card = facts.card(DIGITAL_TWIN.name, _part(fitted, facts), record_of(fitted))
    weights, listed = state_arrays(fitted.twin), _fitted_file(fitted, facts)
    return write_fitted(folder, card, weights, listed, people, load_twin_bundle)


def record_of(fitted: Fitted) -> dict[str, Any]:
    """Return how a twin was fitted: the field `record` of its card."""
    return {
        "history": {
            stage: [
                {name: finite_or_none(value) for name, value in epoch.items()} for epoch in epochs
            ]
            for stage, epochs in fitted.history.items()
        }
    }


def _part(fitted: Fitted, facts: TwinFacts) -> TwinPart:
    edges = len(fitted.twin.edge_mean)
    return TwinPart(
        architecture=fitted.architecture,
        recipe=fitted.recipe,
        tasks=fitted.tasks.tasks,
        edges=edges,
        people=len(fitted.people),
        regions=_regions(edges, facts.regions),
        connectome=facts.connectome,
        covariates=0 if facts.adjustment is None else len(facts.adjustment.names),
        seed=fitted.seed,
        bold_regions=0 if fitted.bold is None else len(fitted.bold.regions),
        bold_open=0 if fitted.bold is None else int(fitted.bold.open.sum()),
        bold_tr_seconds=0.0 if fitted.bold is None else fitted.bold.tr_seconds,
        **facts.shared,
    )


def _regions(edges: int, names: Sequence[str]) -> int:
    """Return the number of regions whose pairs are the edges; 0: there is no such number.

    Raises
    ------
    BundleError
        The names do not have as many pairs as there are edges.
    """
    if names and pairs_of(len(names)) != edges:
        raise BundleError(
            f"{counted(len(names), 'region')} are named, and connectomes have "
            f"{counted(edges, 'edge')}",
            expected=f"{counted(pairs_of(len(names)), 'edge')}, one for each pair",
        )
    number = int((1 + np.sqrt(1 + 8 * edges)) / 2)
    return number if edges and pairs_of(number) == edges else 0


def _fitted_file(fitted: Fitted, facts: TwinFacts) -> FittedFile:
    hashes = sorted(hash_person(facts.data_set, label) for label in fitted.people)
    arrays: dict[str, NDArray[Any]] = {}
    names: dict[str, Sequence[str]] = {_REGIONS: facts.regions} if facts.regions else {}
    if (adjustment := facts.adjustment) is not None:
        names[_COVARIATES] = adjustment.names
        arrays |= {_MEAN: adjustment.mean, _SLOPES: adjustment.slopes}
    if (bold := fitted.bold) is not None:
        names[_BOLD_REGIONS] = bold.regions
        arrays |= {f"{_BOLD}{name}": values for name, values in bold.tensors().items()}
    return FittedFile(tuple(hashes), names, arrays)
