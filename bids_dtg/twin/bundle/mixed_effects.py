"""Bundles of models without a network: people's effects in tasks, written and loaded.

The weights are the tensors of `bids_dtg.twin.bundle.own_trials`. They are sums over training
people, who are listed as hashes and by a few numbers of their response times. Neither torch nor a
connectome is needed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bids_dtg.bundles.card import ModelCard
from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.fitted import (
    FittedBundle,
    FittedFacts,
    FittedFile,
    FittedPart,
    Shapes,
    fitted_files,
    write_fitted,
)
from bids_dtg.bundles.people import ModelPeople, hash_person
from bids_dtg.files.tensors import TensorFile
from bids_dtg.notices import counted
from bids_dtg.twin.bundle.kind import MIXED_EFFECTS
from bids_dtg.twin.bundle.own_trials import closed_form_arrays, read_closed_forms
from bids_dtg.twin.bundle.part import read_tasks
from bids_dtg.twin.task_json import task_to_json
from bids_dtg.twin.tasks import Task

if TYPE_CHECKING:
    from bids_dtg.twin.own_trials.closed_form import ClosedForm


@dataclass(frozen=True, kw_only=True)
class MixedEffectsPart(FittedPart):
    """The fields of a card that such models have."""

    ORDER: ClassVar[tuple[str, ...]] = (
        *("format_version", "name", "version", "kind", "licence", "citation", "description"),
        *("training", "recipe_name", "people", "data_set", "tasks"),
        *("for_science", "notice", "files"),
    )

    tasks: tuple[Task, ...]  # of which anybody had a response

    @property
    def outputs(self) -> str:
        """Number of tasks whose responses the model predicts, in words."""
        return counted(len(self.tasks), "task")

    @property
    def shapes(self) -> Shapes:
        """Nothing: shapes follow from trials and are checked by the reader."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """Return the part's fields of `model.json`."""
        return {
            "format_version": 3,
            "people": self.people,
            "recipe_name": self.recipe_name,
            "data_set": self.data_set,
            "tasks": [task_to_json(task) for task in self.tasks],
        }

    @classmethod
    def read(cls, fields: JsonFields, files: Mapping[str, str]) -> MixedEffectsPart:
        """Read the part's fields of a card.

        Raises
        ------
        BundleError
            If a field is missing, unknown or wrong.
        """
        part = cls(tasks=read_tasks(fields), **cls.read_shared(fields))
        cls.require_same(fields, {"participants": part.people})
        return part


@dataclass(frozen=True, eq=False, kw_only=True)
class MixedEffectsBundle(FittedBundle[MixedEffectsPart]):
    """A verified model without a network."""

    PART: ClassVar[type[FittedPart]] = MixedEffectsPart

    @classmethod
    def require_weights(cls, weights: TensorFile, card: ModelCard[Any]) -> None:
        """Refuse a file of weights that does not fit the tasks.

        Raises
        ------
        BundleError
            It is damaged, or of other tasks.
        """
        _read(weights, card.part.tasks)

    @classmethod
    def read_fitted(cls, path: Path, part: MixedEffectsPart) -> dict[str, Any]:
        """Read the fields of a bundle that are stored in `FITTED_FILE`."""
        return {"fitted_people": FittedFile.read(path, part.people, {}, {}).people, "regions": ()}

    def check_weights(self) -> None:
        """Read all of the weights.

        Raises
        ------
        BundleError
            If they have changed since the bundle was loaded, are damaged, or do not fit the card.
        """
        self.closed_forms()

    def closed_forms(self) -> tuple[ClosedForm, ...]:
        """Return the closed form of each task.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        return _read(self.weights(), self.part.tasks)


def _read(weights: TensorFile, tasks: Sequence[Task]) -> tuple[ClosedForm, ...]:
    forms = read_closed_forms(weights.path, tasks)
    if len(forms) != len(tasks):
        raise weights.error(f" has {counted(len(forms), 'task')}", f"the card's {len(tasks)}")
    return forms


def load_mixed_effects_bundle(name_or_path: str | Path) -> MixedEffectsBundle:
    """Find, verify and load the bundle of a model without a network.

    Parameters
    ----------
    name_or_path
        Name of an installed bundle (`bids_dtg.bundles.store`), or its folder.

    Raises
    ------
    BundleError
        If there is no such bundle, it is of another kind, or a file is missing or damaged.
    """
    return MixedEffectsBundle.load(name_or_path)


def write_mixed_effects_bundle(
    folder: str | Path,
    forms: Sequence[ClosedForm],
    facts: FittedFacts,
    people: Mapping[str, Collection[str]],
) -> MixedEffectsBundle:
    """Write the bundle of a model, and load it back; the same input gives the same bytes.

    Parameters
    ----------
    folder
        Where the bundle goes. If the same bundle is there already, nothing is done.
    forms
        What was learned of each task.
    facts
        Facts for the card.
    people
        Sketches of the response times of training participants, by label.

    Raises
    ------
    BundleError
        If something else is at `folder`, or a value is not finite.
    OutputError
        If the folder cannot be written.
    """
    part = MixedEffectsPart(
        tasks=tuple(form.task for form in forms), people=len(people), **facts.shared
    )
    hashes = sorted(hash_person(facts.data_set, label) for label in people)
    known = ModelPeople.of_training(facts.data_set, people)
    return write_fitted(
        folder,
        facts.card(MIXED_EFFECTS.name, part, {}),
        closed_form_arrays(forms),
        fitted_files(FittedFile(tuple(hashes), {}, {}), known),
        load_mixed_effects_bundle,
    )
