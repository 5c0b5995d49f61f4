"""Bundles of fitted network models: written from a fit, loaded, and made to a model again.

A bundle has what the model needs and says whom it was fitted to. Series and structural connectomes
are not in it. It names nobody: people are hashes (`bids_dtg.bundles.people`), in the order of the
model's tables, by which those who have the data find them again. A hash does not hide a short id
from whoever tries all ids, and the model itself describes everybody whom it was fitted to: such a
bundle is data of these people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import Bundle, read_verified_card
from bids_dtg.bundles.card import WEIGHTS_FILE, ModelCard, TrainingData
from bids_dtg.bundles.fields import finite_or_none
from bids_dtg.bundles.parts import (
    HASH_BYTES,
    check_names,
    check_region_names,
    check_shapes,
    decode_people,
    decode_region_names,
    encode_names,
    encode_people,
    read_tensors,
    require_same_parcels,
)
from bids_dtg.bundles.people import PEOPLE_FILE, SeenPeople, hash_person
from bids_dtg.bundles.store import find_bundle
from bids_dtg.bundles.writer import require_finite, write_files
from bids_dtg.dynamics.bundle.kind import NETWORK_MODEL
from bids_dtg.dynamics.bundle.part import FITTED_FILE, NetworkPart
from bids_dtg.dynamics.networks import LEAST_FRAMES
from bids_dtg.errors import BundleError, RunError
from bids_dtg.files.tensors import TensorFile, encode_arrays
from bids_dtg.notices import counted, named

if TYPE_CHECKING:
    from bids_dtg.dynamics.fitting import Fitted, Restart
    from bids_dtg.dynamics.model import GenerativeModel

_REGIONS, _PEOPLE, _TRAINED = "regions", "people", "trained"  # tensors of `FITTED_FILE`
SAME_TR = 0.05  # share of the model's time between frames that another may be from it
_REMEDY = "fetch or make the bundle again"
CITATION = (
    "Sip V, Hashemi M, Dickscheid T, Amunts K, Petkoski S, Jirsa V (2023). Characterization of "
    "regional differences in resting-state fMRI with a data-driven network model of brain "
    "dynamics. Science Advances 9, eabq7547. https://doi.org/10.1126/sciadv.abq7547"
)


@dataclass(frozen=True)
class NetworkFacts:
    """What the card of a network model says that its fit does not know."""

    name: str  # letters, digits, dot, dash and underscore
    recipe_name: str = "default"  # what --recipe named
    structural: str = "linear"  # how structural connectomes were scaled
    data_set: str = ""  # its name, which people are hashed with; empty: it has none
    session: str = ""  # of which the series were; empty: not said
    cleaning: str = "unknown"  # how the series were cleaned, in words
    atlas: str = ""  # key of the atlas whose parcels the regions are; empty: not known
    atlas_digest: str = ""  # SHA-256 of its parcels
    version: str = "1"  # the model's own
    licence: str = "unknown"  # SPDX name, or words
    citation: str = CITATION  # what users are asked to cite
    description: str = ""  # a line or two in plain words
    for_science: bool = True  # False: as of simulated people; needs a notice
    notice: str = ""  # shown to users at each use; may be empty


@dataclass(frozen=True, eq=False)
class NetworkBundle(Bundle[NetworkPart]):
    """A verified network model: what it was fitted to; the model itself on demand."""

    regions: tuple[str, ...]  # names
    fitted_people: tuple[str, ...]  # hashes, in the order of the model's tables
    trained: NDArray[np.bool_]  # (people, regions): whether a series was trained on
    people: SeenPeople | None = None  # the same people by name and rest; None: not known

    @property
    def part(self) -> NetworkPart:
        """What the card says of network models alone."""
        return self.card.part

    def known(self, labels: Sequence[str], data_set: str | None = None) -> tuple[str, ...]:
        """Return who is in each row of the model's tables, as `dynamics.inference.infer` asks.

        Where the data set has no name, the label alone decides: somebody of another data set
        who is called the same is taken for the same person.

        Parameters
        ----------
        labels
            Of people at hand.
        data_set
            Name of the data set that they are from; None: that of the model.

        Returns
        -------
        tuple
            A label where the person is at hand, else the hash.
        """
        name = self.part.data_set if data_set is None else data_set
        label_of = {hash_person(name, label): label for label in labels}
        return tuple(label_of.get(digest, digest) for digest in self.fitted_people)

    def rows(self, labels: Sequence[str], data_set: str | None = None) -> dict[str, int]:
        """Return the row of the model's tables by label, of those people who have one.

        Parameters
        ----------
        labels, data_set
            As for `known`.
        """
        row = {name: number for number, name in enumerate(self.known(labels, data_set))}
        return {label: row[label] for label in labels if label in row}

    def require_fits(
        self,
        *,
        regions: Sequence[str],
        tr_seconds: float,
        frames: int,
        atlas: str = "",
        atlas_digest: str = "",
    ) -> None:
        """Refuse series that the model cannot describe: `require_regions` and `require_frames`."""
        self.require_regions(regions, atlas=atlas, atlas_digest=atlas_digest)
        self.require_frames(tr_seconds, frames)

    def require_regions(
        self, regions: Sequence[str], *, atlas: str = "", atlas_digest: str = ""
    ) -> None:
        """Refuse series of other regions than the model's.

        Parameters
        ----------
        regions
            Names, in order.
        atlas, atlas_digest
            Key and digest of the atlas whose parcels they are; empty: not known. They are compared
            where the model knows its own: equal names may be of other parcels.

        Raises
        ------
        BundleError
            Number, names, order or parcels differ.
        """
        part, name = self.part, self.card.name
        if tuple(regions) != self.regions:
            raise BundleError(
                f"there are {counted(len(regions), 'region')} ({named(regions)}) and the model "
                f"{name} has {counted(len(self.regions), 'region')} ({named(self.regions)})",
                expected="the same regions in the same order",
                remedy=f"choose its atlas {part.atlas} with --atlases"
                if part.atlas
                else "give their names under the key places",
            )
        require_same_parcels(name, (part.atlas, part.atlas_digest), (atlas, atlas_digest))

    def require_frames(self, tr_seconds: float, frames: int) -> None:
        """Refuse series whose frames are further apart than the model's steps, or too few.

        Parameters
        ----------
        tr_seconds
            Between frames: at most 5 % from the model's.
        frames
            Of the series, from the first to the last that is used.

        Raises
        ------
        RunError
            Time between frames, or their number.
        """
        own = self.part.tr_seconds
        if not math.isclose(tr_seconds, own, rel_tol=0.0, abs_tol=SAME_TR * own):
            raise RunError(
                f"the frames are {tr_seconds:g} s apart and those of the model {self.card.name} "
                f"{own:g} s",
                expected=f"at most {SAME_TR:.0%} between them: a step of the model is a frame",
                remedy="use a model of series with the same repetition time",
            )
        if frames < LEAST_FRAMES:
            raise RunError(
                f"there are {counted(frames, 'frame')} from the first to the last that is kept",
                expected=f"{LEAST_FRAMES} or more",
            )

    def check_weights(self) -> None:
        """Read all of the weights, without torch.

        Raises
        ------
        BundleError
            If they have changed since the bundle was loaded, are damaged, or do not fit the card.
        """
        self._tensors()

    def model(self) -> GenerativeModel:
        """Read the model, in eval mode, on the CPU. This imports torch.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        import torch

        from bids_dtg.dynamics.amortised import restored

        state = {name: torch.from_numpy(array) for name, array in self._tensors().items()}
        part = self.part
        return restored(part.recipe, (part.people, part.regions, part.frames), state)

    def _tensors(self) -> dict[str, NDArray[np.float32]]:
        """Read the weights; shapes are compared with the card's before anything else is."""
        weights = self.weights()
        check_shapes(weights, self.part.shapes, NETWORK_MODEL.name)
        expected = {name: ("float32", shape) for name, shape in self.part.shapes.items()}
        return read_tensors(weights.path, expected)


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
    folder = find_bundle(name_or_path)
    card, identity = read_verified_card(folder, NetworkPart)
    check_shapes(TensorFile(folder / WEIGHTS_FILE), card.part.shapes, card.kind)
    regions, people, trained = _read_fitted(folder / FITTED_FILE, card.part)
    return NetworkBundle(
        path=folder,
        card=card,
        identity=identity,
        regions=regions,
        fitted_people=people,
        trained=trained,
        people=SeenPeople.read(folder / PEOPLE_FILE) if PEOPLE_FILE in card.files else None,
    )


def write_network_bundle(
    folder: str | Path, fitted: Fitted, facts: NetworkFacts, people: SeenPeople | None = None
) -> NetworkBundle:
    """Write the bundle of a fitted network model, and load it back from where it was written.

    All is written into a hidden folder beside `folder`, loaded once as a check, and renamed. The
    same input gives the same bytes. Whoever is in it, is in it as a hash.

    Parameters
    ----------
    folder
        Where the bundle goes. If the same bundle is there already, nothing is done.
    fitted
        What `bids_dtg.dynamics.fit` returned.
    facts
        What the card says beside that.
    people
        Whom the model has seen, by name and rest; None: the bundle knows the rows of its tables
        alone.

    Raises
    ------
    BundleError
        If something else is at `folder`, names are not plain, the parts do not belong together, or
        a value is not finite.
    OutputError
        If the folder cannot be written.
    """
    state = {name: tensor.numpy() for name, tensor in fitted.model.cpu().state_dict().items()}
    require_finite(state, remedy="train with a lower learning rate")
    check_region_names(fitted.regions)
    part = NetworkPart(
        recipe=fitted.recipe,
        regions=len(fitted.regions),
        people=len(fitted.people),
        frames=fitted.frames,
        tr_seconds=float(fitted.tr_seconds),
        recipe_name=facts.recipe_name,
        structural=facts.structural,
        data_set=facts.data_set,
        session=facts.session,
        atlas=facts.atlas,
        atlas_digest=facts.atlas_digest,
    )
    card = ModelCard(
        name=facts.name,
        version=facts.version,
        kind=NETWORK_MODEL.name,
        part=part,
        licence=facts.licence,
        citation=facts.citation,
        description=facts.description,
        training=TrainingData(
            data=facts.data_set or "unknown",
            repetition_time_s=part.tr_seconds,
            cleaning=facts.cleaning,
            participants=part.people,
        ),
        for_science=facts.for_science,
        notice=facts.notice,
        record=record_of(fitted),
    )
    hashes = [hash_person(facts.data_set, label) for label in fitted.people]
    files = {
        WEIGHTS_FILE: encode_arrays(state),
        FITTED_FILE: _encode_fitted(fitted.regions, hashes, fitted.trained),
    }
    if people is not None:
        files[PEOPLE_FILE] = people.encode()
    return write_files(Path(folder), card, files, load_network_bundle)


def record_of(fitted: Fitted) -> dict[str, Any]:
    """Return how a model was fitted: the field `record` of its card."""
    return {
        "chosen": fitted.chosen,
        "restarts": [_record_of(restart) for restart in fitted.restarts],
    }


def _record_of(restart: Restart) -> dict[str, Any]:
    seconds = sum(epoch.get("seconds", 0.0) for epoch in restart.history)
    return {
        "seed": restart.seed,
        "elbo": finite_or_none(restart.elbo),
        "held_out_elbo": finite_or_none(restart.held_out_elbo),
        "epochs": len(restart.history),
        "hours": round(seconds / 3600, 4),
        "history": [
            {name: finite_or_none(value) for name, value in epoch.items()}
            for epoch in restart.history
        ],
    }


def _encode_fitted(
    regions: Sequence[str], hashes: Sequence[str], trained: NDArray[np.bool_]
) -> bytes:
    return encode_arrays(
        {
            _REGIONS: encode_names(regions),
            _PEOPLE: encode_people(hashes),
            _TRAINED: trained.astype(np.uint8),
        }
    )


def _read_fitted(
    path: Path, part: NetworkPart
) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.bool_]]:
    """Return names of regions, people as hashes, and which series were trained on."""
    file = TensorFile(path)
    check_names(file, _REGIONS, part.regions)
    (letters,) = file.shape(_REGIONS, axes=1)
    tensors: Mapping[str, NDArray[np.uint8]] = read_tensors(
        path,
        {
            _REGIONS: ("uint8", (letters,)),
            _PEOPLE: ("uint8", (part.people, HASH_BYTES)),
            _TRAINED: ("uint8", (part.people, part.regions)),
        },
    )
    names = decode_region_names(tensors[_REGIONS], part.regions, path)
    people = decode_people(tensors[_PEOPLE], path)
    if tensors[_TRAINED].max(initial=0) > 1:
        raise BundleError(f"{path}: {_TRAINED} has other values than 0 and 1", remedy=_REMEDY)
    return names, people, tensors[_TRAINED].astype(bool)
