"""Bundles of linear cores: their part of the card, writing and loading.

A bundle holds the training people's mean covariances between regions, the strength of the shrinkage
towards them, the components in which people differ, and the reliability of these. Of a single
person it holds only a hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.bundles.card import JsonFields
from bids_dtg.bundles.fitted import (
    REGIONS,
    FittedBundle,
    FittedPart,
    Shapes,
    encode_fitted,
    fitted_card,
)
from bids_dtg.bundles.training_hashes import TrainingHashes
from bids_dtg.dynamics.bundle.kind import (
    LINEAR_DYNAMICS,
    REFERENCES_OF_CORES,
    facts_of_series,
)
from bids_dtg.dynamics.components import COMPONENTS, Components
from bids_dtg.dynamics.linear import LAGS, LinearModel, Shrinkage
from bids_dtg.notices import counted

# Tensors of the weights: mean covariances, and fields of `Components`.
_GROUP = "group"
_LOADINGS = "component_loadings"
_MEAN = "component_mean"
_SD = "component_sd"


@dataclass(frozen=True, kw_only=True)
class LinearPart(FittedPart):
    """The part of the card of linear cores."""

    regions: int  # number of regions of each person
    frames: int  # of each series
    tr_seconds: float  # time between frames
    order: int  # number of earlier frames that predict a frame
    # Weights of the training people's mean, in frames of a person's session.
    process_shrinkage: float
    connectivity_shrinkage: float
    # Data on which these were chosen; empty: fixed, as there were too few people.
    chosen_by: str = ""
    # How far the mean's covariances between regions are shrunk to 0.
    diagonal_share: float = 0.0
    session: str = ""  # session of the series; empty: not stated
    components: int = 0  # number of components; 0: none
    component_icc: tuple[float, ...] = ()  # retest ICC of each; empty: not known

    @property
    def outputs(self) -> str:
        """What the model describes: numbers of regions and participants."""
        return f"{counted(self.regions, 'region')} by {counted(self.people, 'participant')}"

    @property
    def shapes(self) -> Shapes:
        """Shapes of the model's tensors by name."""
        shapes: dict[str, tuple[int, ...]] = {
            _GROUP: (LAGS + 1, self.regions, self.regions)
        }
        if self.components:
            edges = self.regions * (self.regions - 1) // 2
            shapes[_LOADINGS] = (self.components, edges)
            shapes[_MEAN] = (edges,)
            shapes[_SD] = (self.components,)
        return shapes

    @classmethod
    def read(cls, fields: JsonFields) -> LinearPart:
        """Read the part's fields of a card.

        Raises
        ------
        BundleError
            If a field is missing or wrong.
        """
        listed = fields.value("component_icc")
        count = len(listed) if isinstance(listed, list) else 0
        iccs = tuple(fields.numbers("component_icc", (count,)))
        part = cls(component_icc=iccs, **fields.scalars(cls))
        if part.order > LAGS:
            raise fields.wrong("order", part.order, f"1 to {LAGS}")
        if part.diagonal_share > 1:
            raise fields.wrong("diagonal_share", part.diagonal_share, "a share, 0 to 1")
        if part.components > COMPONENTS:
            raise fields.wrong("components", part.components, f"at most {COMPONENTS}")
        if count not in (0, part.components):
            expected = f"{part.components} numbers, or none"
            raise fields.wrong("component_icc", part.component_icc, expected)
        return part


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearBundle(FittedBundle[LinearPart]):
    """A verified linear core."""

    PART = LinearPart

    def model(self) -> LinearModel:
        """Read the model.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        part = self.part
        shrinkage = Shrinkage(
            part.process_shrinkage, part.connectivity_shrinkage, part.chosen_by
        )
        group = self.tensors()[_GROUP].astype(np.float64)
        return LinearModel(group, shrinkage, part.order, part.diagonal_share)

    def components(self) -> Components | None:
        """Read the components; None: the model has none.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        if not self.part.components:
            return None
        tensors = self.tensors()
        return Components(
            mean=tensors[_MEAN].astype(np.float64),
            loadings=tensors[_LOADINGS].astype(np.float64),
            sd=tensors[_SD].astype(np.float64),
            reliability=self.part.component_icc,
        )

    def facts(self) -> Iterator[tuple[str, str]]:
        """Yield the lines of ``dtg-models info`` on a linear core, with their titles."""
        part = self.part
        yield from facts_of_series(self)
        order = f"{part.order}: {counted(part.order, 'earlier frame')}"
        if part.diagonal_share:
            share = f"{part.diagonal_share:.0%}"
            order += f", covariances between regions reduced by {share}"
        yield "order", order
        chosen = "fixed, for lack of people"
        if part.chosen_by:
            chosen = f"chosen by {part.chosen_by}"
        yield (
            "shrinkage",
            f"{part.process_shrinkage:g} frames (process), "
            f"{part.connectivity_shrinkage:g} frames (functional connectivity), {chosen}",
        )
        features = counted(part.components, "component") if part.components else "none"
        if part.component_icc:
            iccs = " ".join(f"{icc:.2f}" for icc in part.component_icc)
            features += f", retest ICC {iccs}"
        yield "features", features


def write_linear_bundle(
    folder: str | Path,
    model: LinearModel,
    components: Components | None,
    people: TrainingHashes | None = None,
    *,
    labels: Sequence[str],
    regions: Sequence[str],
    **facts: Any,
) -> LinearBundle:
    """Write the bundle of a linear core, as `bids_dtg.bundles.bundle.Bundle.write` does.

    Parameters
    ----------
    folder, people
        As of `Bundle.write`; people are the training people.
    model
        The model.
    components
        Components in which the training people differ; None: there are none.
    labels, regions
        Labels of the training people, and names of the regions.
    **facts
        Facts for the card, see `fitted_card`; they include `frames` and `tr_seconds` of the series.
    """
    shrinkage = model.shrinkage
    weights = {_GROUP: model.group}
    if components is not None:
        weights |= {
            _LOADINGS: components.loadings,
            _MEAN: components.mean,
            _SD: components.sd,
        }
    fit = {
        "regions": len(regions),
        "people": len(labels),
        "order": model.order,
        "process_shrinkage": shrinkage.process,
        "connectivity_shrinkage": shrinkage.connectivity,
        "chosen_by": shrinkage.chosen_by,
        "diagonal_share": model.diagonal_share,
        "components": 0 if components is None else len(components.loadings),
        "component_icc": () if components is None else components.reliability,
    }
    facts = {"citation": "; ".join(REFERENCES_OF_CORES), **facts}
    card = fitted_card(LINEAR_DYNAMICS.name, LinearPart, fit, facts, {})
    singles = {name: array.astype(np.float32) for name, array in weights.items()}
    listed = encode_fitted(card.part.hashes(labels), {REGIONS: regions})
    return LinearBundle.write(folder, card, singles, listed, people)
