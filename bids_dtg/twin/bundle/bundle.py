"""Bundles of digital twins: written from a fit, loaded, and turned into a twin again.

A bundle holds what is needed to read new people's events and to predict their responses: weights,
tasks, and how connectomes were made. It does not name its training participants, but lists them as
sorted hashes (`bids_dtg.bundles.training_hashes`), so that evaluations leave them out. Their
connectomes and responses are not in it; its weights combine all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_dtg.array_types import Float64, Values
from bids_dtg.bundles.card import finite_or_none
from bids_dtg.bundles.fitted import (
    FITTED_FILE,
    REGIONS,
    FittedBundle,
    encode_fitted,
    fitted_card,
    state_arrays,
)
from bids_dtg.bundles.training_hashes import TrainingHashes
from bids_dtg.errors import MAKE_WITH_THIS_VERSION, BundleError
from bids_dtg.files.foreign import reading
from bids_dtg.notices import counted
from bids_dtg.twin.adjustment import Adjustment
from bids_dtg.twin.bundle.part import DIGITAL_TWIN, TwinPart
from bids_dtg.twin.tasks import Task

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted


# Tensors of `FITTED_FILE`; all may be absent.
_COVARIATES = "covariates"
_MEAN, _SLOPES = "covariate_mean", "covariate_slopes"
_BOLD = "bold_"  # first part of the names of arrays of BOLD's ridges
_BOLD_REGIONS = "bold_regions"
CITATION = (
    "Takahashi Y, Soda T, Tomita H, Yamashita Y (2026). Digital Twin Brain: Generating Multitask "
    "Behavior from Connectomes for Personalized Therapy. BME Frontiers 7, 0231. "
    "https://doi.org/10.34133/bmef.0231"
)


@dataclass(frozen=True, eq=False, kw_only=True)
class TwinBundle(FittedBundle[TwinPart]):
    """A verified digital twin; `regions` are those of a connectome."""

    PART = TwinPart
    LISTS = (_BOLD_REGIONS,)  # the regions of a connectome may have no names

    # Applied to connectomes before the twin; None: they are as measured.
    adjustment: Adjustment | None
    bold_regions: tuple[str, ...]  # names of the regions of task BOLD; (): none
    bold_arrays: Mapping[str, Float64]  # of BOLD's ridges, by name

    @classmethod
    def of_fitted(
        cls,
        names: Mapping[str, tuple[str, ...]],
        arrays: Mapping[str, Values],
        part: TwinPart,
    ) -> dict[str, Any]:
        """Return the fields that `FITTED_FILE` has besides regions and people."""
        adjustment = None
        if part.covariates:
            adjustment = Adjustment(names[_COVARIATES], arrays[_MEAN], arrays[_SLOPES])
        return {
            "adjustment": adjustment,
            "bold_regions": names.get(_BOLD_REGIONS, ()),
            "bold_arrays": {
                name.removeprefix(_BOLD): values
                for name, values in arrays.items()
                if name.startswith(_BOLD)
            },
        }

    def fits(self, regions: Sequence[str]) -> bool:
        """Return whether data of these regions fit the model, whose regions may have no names."""
        same_names = self.regions in ((), tuple(regions))
        return same_names and comb(len(regions), 2) == self.part.edges

    @property
    def fitted_to(self) -> str:
        """The input of the model and its size, in words."""
        return f"connectomes of {counted(self.part.edges, 'edge')}"

    def fitted(self) -> Fitted:
        """Return the twin as `bids_dtg.twin.fitting.fit` returned it, with hashes for people.

        It is in eval mode, on the CPU, and its history is in the card's `record`. This imports
        torch.

        Raises
        ------
        BundleError
            The weights fail `check_weights`, or there are other arrays of BOLD.
        """
        import torch

        from bids_dtg.twin.bold import BoldRidges
        from bids_dtg.twin.fitting import Fitted, empty_twin

        part, state = self.part, self.state()
        with torch.device("meta"):  # no weights are drawn, and none are in memory twice
            sizes = part.edges, part.task_set, part.bold_regions
            twin = empty_twin(part.architecture, part.recipe, *sizes)
        twin.load_state_dict(state, assign=True)
        bold = None
        if self.bold_regions:
            tr_seconds, arrays = part.bold_tr_seconds, self.bold_arrays
            path = self.path / FITTED_FILE
            with reading(path, BundleError, remedy=MAKE_WITH_THIS_VERSION):
                bold = BoldRidges.from_tensors(
                    self.bold_regions, tr_seconds, arrays, part.task_set
                )
        return Fitted(
            twin=twin.eval(),
            architecture=part.architecture,
            recipe=part.recipe,
            tasks=part.task_set,
            people=self.fitted_people,
            seed=part.seed,
            history={},
            bold=bold,
        )

    def facts(self) -> list[tuple[str, str]]:
        """Return the lines of ``dtg-models info`` on a twin, with their titles."""
        part, recipe = self.part, self.part.recipe
        pairs = (
            f", the pairs of {counted(part.regions, 'region')}" if part.regions else ""
        )
        return [
            ("people", f"{part.people} in the training set, {self.how_known}"),
            *(("task", _task_words(task)) for task in part.tasks),
            ("connectome", f"{counted(part.edges, 'edge')}{pairs}: {part.connectome}"),
            ("twin", f"{part.architecture}, {counted(recipe.units, 'unit')}"),
            ("recipe", f"{part.recipe_name}, seed {part.seed}"),
            *_stages(self.card.record or {}),
        ]


def _task_words(task: Task) -> str:
    return (
        f"{task.name}: {', '.join(task.buttons)} within {task.window_seconds:g} s, "
        f"{' and '.join(task.conditions)} trials of task-{', task-'.join(task.bids_tasks)}"
    )


def _stages(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Describe each stage of the fit, as the card records it."""
    history = record.get("history")
    stages = history if isinstance(history, Mapping) else {}
    return [
        (str(stage), f"trained for {counted(epochs, 'epoch')}")
        for stage, epochs in stages.items()
        if isinstance(epochs, list)  # records are not checked
    ]


def write_twin_bundle(
    folder: str | Path,
    fitted: Fitted,
    people: TrainingHashes | None = None,
    *,
    regions: Sequence[str] = (),
    adjustment: Adjustment | None = None,
    **facts: Any,
) -> TwinBundle:
    """Write the bundle of a fitted digital twin, as `bids_dtg.bundles.bundle.Bundle.write` does.

    Parameters
    ----------
    folder, people
        As of `Bundle.write`; without people, the bundle lists the training participants alone.
    fitted
        A twin that `bids_dtg.twin.fitting.fit` returned.
    regions
        Names of a connectome's regions, whose pairs row by row are its edges; (): no names.
    adjustment
        Of the connectomes that were used for the fit; None: they are as measured.
    **facts
        For the card, as in `fitted_card`.
    """
    edges = len(fitted.twin.edge_mean)
    bold = fitted.bold
    names: dict[str, Sequence[str]] = {REGIONS: regions} if regions else {}
    arrays: dict[str, Values] = {}
    fit = {
        "architecture": fitted.architecture,
        "recipe": fitted.recipe,
        "tasks": fitted.tasks.tasks,
        "edges": edges,
        "people": len(fitted.people),
        "regions": _number_of_regions(edges),
        "seed": fitted.seed,
    }
    if adjustment is not None:
        fit["covariates"] = len(adjustment.names)
        names[_COVARIATES] = adjustment.names
        arrays |= {_MEAN: adjustment.mean, _SLOPES: adjustment.slopes}
    if bold is not None:
        fit |= {"bold_regions": len(bold.regions), "bold_open": int(bold.open.sum())}
        fit["bold_tr_seconds"] = bold.tr_seconds
        names[_BOLD_REGIONS] = bold.regions
        arrays |= {f"{_BOLD}{name}": values for name, values in bold.tensors().items()}
    facts = {"citation": CITATION, **facts}
    history = {
        stage: [
            {name: finite_or_none(value) for name, value in epoch.items()}
            for epoch in epochs
        ]
        for stage, epochs in fitted.history.items()
    }
    record = {"history": history}
    card = fitted_card(DIGITAL_TWIN.name, TwinPart, fit, facts, record)
    content = encode_fitted(sorted(card.part.hashes(fitted.people)), names, arrays)
    return TwinBundle.write(folder, card, state_arrays(fitted.twin), content, people)


def _number_of_regions(edges: int) -> int:
    """Return the number of regions whose pairs are the edges; 0: there is no such number."""
    number = int((1 + np.sqrt(1 + 8 * edges)) / 2)
    return number if edges and comb(number, 2) == edges else 0
