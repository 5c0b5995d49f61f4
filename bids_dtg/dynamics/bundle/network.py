"""Bundles of network models: their part of the card, writing and loading.

A bundle holds the model and the list of its training participants, but no series or structural
connectomes. The list has hashes in place of labels (`bids_dtg.bundles.training_hashes`), in the
order of the model's tables, so that whoever has the data can recognise the participants. But a hash
does not hide a short label from somebody who tries all labels, and the model has parameters of each
training participant. Such a bundle is therefore data about these people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_dtg.array_types import Mask, Values
from bids_dtg.bundles.card import JsonFields, finite_or_none
from bids_dtg.bundles.fitted import (
    NO_SKETCHES,
    REGIONS,
    FittedBundle,
    FittedPart,
    Shapes,
    Sketches,
    encode_fitted,
    fitted_card,
    state_arrays,
)
from bids_dtg.bundles.training_hashes import TrainingHashes
from bids_dtg.dynamics.bundle.kind import (
    NETWORK_MODEL,
    REFERENCES_OF_NETWORKS,
    facts_of_series,
)
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.errors import BundleError
from bids_dtg.notices import counted

if TYPE_CHECKING:
    from bids_dtg.dynamics.fitting import Fitted
    from bids_dtg.dynamics.model import NetworkModel

SAME_TR = 0.05  # largest relative difference from the model's time between frames
_TRAINED = "trained"  # tensor of `FITTED_FILE`


@dataclass(frozen=True)
class NetworkPart(FittedPart):
    """The part of the card of network models."""

    recipe: Recipe  # architecture and training of the model
    regions: int  # number of regions of each person
    frames: int  # of each series
    tr_seconds: float  # time between frames
    session: str = ""  # session of the series; empty: not stated

    @property
    def outputs(self) -> str:
        """What the model describes: numbers of regions and participants."""
        return f"{counted(self.regions, 'region')} of {counted(self.people, 'participant')}"

    @property
    def shapes(self) -> Shapes:
        """Shapes of the model's tensors by name, see `bids_dtg.dynamics.model`.

        They are computed without torch, so that a wrong file is refused before torch is imported.

        Examples
        --------
        >>> part = NetworkPart(Recipe(), regions=4, people=2, frames=30, tr_seconds=0.72)
        >>> part.shapes["external_table"], part.shapes["state_encoder.lstm.weight_ih_l0"]
        ((2, 30, 2), (128, 4))
        """
        recipe, encoder = self.recipe, self.recipe.encoder_units
        inputs = recipe.states + recipe.region_parameters + recipe.person_parameters + 1
        shapes: dict[str, tuple[int, ...]] = {
            "transition.hidden.weight": (
                recipe.hidden,
                inputs + recipe.external_inputs,
            ),
            "transition.hidden.bias": (recipe.hidden,),
            "transition.out.weight": (recipe.states, recipe.hidden),
            "transition.out.bias": (recipe.states,),
            "observation.weight": (1, recipe.states),
            "observation.bias": (1,),
            "state_log_variance": (recipe.states,),
            "observation_log_variance": (1,),
            "person_table": (self.people, recipe.person_parameters, 2),
        }
        if recipe.external_inputs:
            shapes |= {"log_tau": (), "external_table": (self.people, self.frames, 2)}
        dimensions = {"state": recipe.states, "region": recipe.region_parameters}
        for name, count in dimensions.items():
            shapes[f"{name}_encoder.out.weight"] = (2 * count, 2 * encoder)
            shapes[f"{name}_encoder.out.bias"] = (2 * count,)
            lstm = f"{name}_encoder.lstm"
            for way in ("l0", "l0_reverse"):
                shapes[f"{lstm}.weight_ih_{way}"] = (4 * encoder, 2 + self.people)
                shapes[f"{lstm}.weight_hh_{way}"] = (4 * encoder, encoder)
                shapes[f"{lstm}.bias_ih_{way}"] = (4 * encoder,)
                shapes[f"{lstm}.bias_hh_{way}"] = (4 * encoder,)
        return shapes

    @classmethod
    def read(cls, fields: JsonFields) -> NetworkPart:
        """Read the part's fields of a card.

        Raises
        ------
        BundleError
            If a field is missing, unknown or wrong.
        """
        return cls(recipe=_recipe(fields.nested("recipe")), **fields.scalars(cls))


def _recipe(fields: JsonFields) -> Recipe:
    try:
        return fields.record(Recipe)
    except ValueError as err:
        raise BundleError(f"{fields.source}: recipe: {err}") from err


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkBundle(FittedBundle[NetworkPart]):
    """A verified network model; `fitted_people` are in the order of the model's tables."""

    PART = NetworkPart

    trained: Mask  # (people, regions): whether a series was trained on

    @classmethod
    def of_fitted(
        cls,
        names: Mapping[str, tuple[str, ...]],
        arrays: Mapping[str, Values],
        part: NetworkPart,
    ) -> dict[str, Any]:
        """Return which series were trained on."""
        return {"trained": arrays[_TRAINED].astype(bool)}

    def row_labels(
        self,
        labels: Sequence[str],
        data_set: str | None = None,
        sketches: Sketches = NO_SKETCHES,
    ) -> tuple[str, ...]:
        """Return the label of each row of the model's tables, for `dynamics.inference.infer`.

        Parameters
        ----------
        labels, data_set, sketches
            Labels of participants, their data set's name, and sketches of their series, see
            `hashes`.

        Returns
        -------
        tuple
            The label if the person is among `labels`, else the hash. If two labels are the same
            person, the one recognised by label and data set is returned.
        """
        label_of: dict[str, str] = {}
        by_label = self.hashes(labels, data_set)
        by_series = self.hashes(labels, data_set, sketches)
        for digests in (by_label, by_series):
            for digest, label in zip(digests, labels, strict=True):
                label_of.setdefault(digest, label)
        return tuple(label_of.get(digest, digest) for digest in self.fitted_people)

    def model(self) -> NetworkModel:
        """Read the model, in eval mode, on the CPU. This imports torch.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        from bids_dtg.dynamics.model import restored

        part = self.part
        shape = (part.people, part.regions, part.frames)
        return restored(part.recipe, shape, self.state())

    def facts(self) -> Iterator[tuple[str, str]]:
        """Yield the lines of ``dtg-models info`` on a network model, with their titles."""
        recipe = self.part.recipe
        yield from facts_of_series(self)
        yield (
            "dynamics",
            f"{counted(recipe.states, 'state')}, "
            f"{counted(recipe.region_parameters, 'region parameter')}, "
            f"{counted(recipe.person_parameters, 'person parameter')}, "
            f"{counted(recipe.external_inputs, 'external input')}",
        )
        yield "recipe", f"{self.part.recipe_name}, {counted(recipe.epochs, 'epoch')}"
        left_out = self.trained.size - int(self.trained.sum())
        yield "held out", f"{left_out} of {self.trained.size} series"


def write_network_bundle(
    folder: str | Path,
    fitted: Fitted,
    people: TrainingHashes | None = None,
    **facts: Any,
) -> NetworkBundle:
    """Write the bundle of a fitted network model, as `bids_dtg.bundles.bundle.Bundle.write` does.

    Parameters
    ----------
    folder, people
        As of `Bundle.write`; people are the training people.
    fitted
        Result of `bids_dtg.dynamics.fit`.
    **facts
        Facts for the card, see `fitted_card`.
    """
    fit = {
        "recipe": fitted.recipe,
        "regions": len(fitted.regions),
        "people": len(fitted.people),
        "frames": fitted.frames,
        "tr_seconds": float(fitted.tr_seconds),
    }
    restarts = [
        {
            "seed": restart.seed,
            "elbo": finite_or_none(restart.elbo),
            "held_out_elbo": finite_or_none(restart.held_out_elbo),
            "epochs": len(restart.history),
        }
        for restart in fitted.restarts
    ]
    record = {"chosen": fitted.chosen, "restarts": restarts}
    facts = {"citation": "; ".join(REFERENCES_OF_NETWORKS), **facts}
    card = fitted_card(NETWORK_MODEL.name, NetworkPart, fit, facts, record)
    trained = {_TRAINED: fitted.trained.astype(np.uint8)}
    hashes = card.part.hashes(fitted.people)
    listed = encode_fitted(hashes, {REGIONS: fitted.regions}, trained)
    return NetworkBundle.write(folder, card, state_arrays(fitted.model), listed, people)
