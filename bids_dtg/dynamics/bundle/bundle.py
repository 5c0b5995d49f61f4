"""Bundles of fitted network models: written from a fit, loaded, and converted to a model.

A bundle holds what the model needs and lists the training participants, but has no series and no
structural connectomes. It names nobody: participants are hashes (`bids_dtg.bundles.people`), in the
order of the model's tables, so that those who have the data can find them again. A hash does not
hide a short id from somebody who tries all ids, and the model itself describes all its training
participants: such a bundle is data of these people.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.fields import finite_or_none
from bids_dtg.bundles.fitted import (
    NO_SKETCHES,
    FittedFacts,
    FittedFile,
    FittedPart,
    Sketches,
    fitted_files,
    state_arrays,
    write_fitted,
)
from bids_dtg.bundles.people import ModelPeople, hash_person
from bids_dtg.dynamics.bundle.fits import SeriesBundle
from bids_dtg.dynamics.bundle.kind import NETWORK_MODEL, REFERENCES_OF_NETWORKS
from bids_dtg.dynamics.bundle.part import NetworkPart
from bids_dtg.dynamics.recipe import DEFAULT
from bids_dtg.errors import BundleError

if TYPE_CHECKING:
    from bids_dtg.dynamics.fitting import Fitted, Restart
    from bids_dtg.dynamics.model import NetworkModel

_REGIONS, _TRAINED = "regions", "trained"  # tensors of `FITTED_FILE`


@dataclass(frozen=True)
class NetworkFacts(FittedFacts):
    """Facts for the card of a network model that its fit does not know."""

    citation: str = "; ".join(REFERENCES_OF_NETWORKS)  # what users are asked to cite
    recipe_name: str = DEFAULT  # what --recipe named
    session: str = ""  # session of the series; empty: not stated


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkBundle(SeriesBundle[NetworkPart]):
    """A verified network model; `fitted_people` are in the order of the model's tables."""

    PART: ClassVar[type[FittedPart]] = NetworkPart

    trained: NDArray[np.bool_]  # (people, regions): whether a series was trained on

    @classmethod
    def read_fitted(cls, path: Path, part: NetworkPart) -> dict[str, Any]:
        """Return names of regions, hashes of people, and which series were trained on."""
        shape = (part.people, part.regions)
        found = FittedFile.read(
            path, part.people, {_REGIONS: part.regions}, {_TRAINED: ("uint8", shape)}
        )
        trained = found.arrays[_TRAINED]
        if trained.max(initial=0) > 1:
            raise BundleError(
                f"{path}: {_TRAINED} has other values than 0 and 1",
                remedy="fetch or make the bundle again",
            )
        return {
            "regions": found.names[_REGIONS],
            "fitted_people": found.people,
            "trained": trained.astype(bool),
        }

    def known(
        self,
        labels: Sequence[str],
        data_set: str | None = None,
        sketches: Sketches = NO_SKETCHES,
    ) -> tuple[str, ...]:
        """Return the label of each row of the model's tables, for `dynamics.inference.infer`.

        Parameters
        ----------
        labels, data_set, sketches
            Labels of the participants at hand, their data set's name, and sketches of their
            series, see `hashes`.

        Returns
        -------
        tuple
            A label if the person is among `labels`, else the hash. Of two labels of one person,
            the one that is known by the data set's name comes first.
        """
        label_of: dict[str, str] = {}
        for known in (self.hashes(labels, data_set), self.hashes(labels, data_set, sketches)):
            for digest, label in zip(known, labels, strict=True):
                label_of.setdefault(digest, label)
        return tuple(label_of.get(digest, digest) for digest in self.fitted_people)

    def rows(
        self,
        labels: Sequence[str],
        data_set: str | None = None,
        sketches: Sketches = NO_SKETCHES,
    ) -> dict[str, int]:
        """Return the row of the model's tables by label, for people who have one.

        Parameters
        ----------
        labels, data_set, sketches
            See `known`.
        """
        row = {name: number for number, name in enumerate(self.known(labels, data_set, sketches))}
        return {label: row[label] for label in labels if label in row}

    def model(self) -> NetworkModel:
        """Read the model, in eval mode, on the CPU. This imports torch.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        from bids_dtg.dynamics.model import restored

        part = self.part
        return restored(part.recipe, (part.people, part.regions, part.frames), self.state())


def load_network_bundle(name_or_path: str | Path) -> NetworkBundle:
    """Find, verify and load the bundle of a network model, without torch.

    Parameters
    ----------
    name_or_path
        Name of an installed bundle (`bids_dtg.bundles.store`), or its folder.

    Raises
    ------
    BundleError
        If there is no such bundle, it is of another kind, a file is missing, damaged or not the
        one that the card lists (SHA-256), or names, people and weights do not fit the card.
    """
    return NetworkBundle.load(name_or_path)


def write_network_bundle(
    folder: str | Path, fitted: Fitted, facts: NetworkFacts, people: ModelPeople | None = None
) -> NetworkBundle:
    """Write the bundle of a fitted network model, and load it back from where it was written.

    All is written into a hidden folder beside `folder`, loaded once as a check, and renamed. The
    the same bytes. People are listed as hashes.

    Parameters
    ----------
    folder
        Where the bundle goes. If the same bundle is there already, nothing is done.
    fitted
        Result of `bids_dtg.dynamics.fit`.
    facts
        Further facts for the card.
    people
        Hashes of everybody used to make the model, by name and rest; None: the bundle lists only
        the people in the rows of its tables.

    Raises
    ------
    BundleError
        If something else is at `folder`, names are not plain, the parts do not belong together, or
        a value is not finite.
    OutputError
        If the folder cannot be written.
    """
    part = NetworkPart(
        recipe=fitted.recipe,
        regions=len(fitted.regions),
        people=len(fitted.people),
        frames=fitted.frames,
        tr_seconds=float(fitted.tr_seconds),
        session=facts.session,
        **facts.shared,
    )
    card = facts.card(NETWORK_MODEL.name, part, record_of(fitted), part.tr_seconds)
    hashes = tuple(hash_person(facts.data_set, label) for label in fitted.people)
    arrays = {_TRAINED: fitted.trained.astype(np.uint8)}
    files = fitted_files(FittedFile(hashes, {_REGIONS: fitted.regions}, arrays), people)
    return write_fitted(folder, card, state_arrays(fitted.model), files, load_network_bundle)


def discard_shorter(folder: Path, fitted: Fitted) -> None:
    """Remove the bundle of fewer epochs of a training that has gone on; nothing if none is there.

    Raises
    ------
    BundleError
        What is there is damaged.
    """
    if folder.exists() and load_network_bundle(folder).part.recipe.epochs < fitted.recipe.epochs:
        shutil.rmtree(folder)


def record_of(fitted: Fitted) -> dict[str, Any]:
    """Return how a model was fitted: the field `record` of its card."""
    return {
        "chosen": fitted.chosen,
        "restarts": [_record_of(restart) for restart in fitted.restarts],
    }


def _record_of(restart: Restart) -> dict[str, Any]:
    return {
        "seed": restart.seed,
        "elbo": finite_or_none(restart.elbo),
        "held_out_elbo": finite_or_none(restart.held_out_elbo),
        "epochs": len(restart.history),
        "history": [
            {name: finite_or_none(value) for name, value in epoch.items()}
            for epoch in restart.history
        ],
    }
