"""Bundles of digital twins: written from a fit, loaded, and made to a twin again.

A bundle has what it takes to read new people's events and to perform for them: weights, tasks, how
connectomes were made. It names nobody whom it was fitted to: they are hashes
(`bids_dtg.bundles.people`), sorted, so that evaluations leave them out. Their connectomes, their
responses and the codes of their own behaviour are not in it. Its weights are sums over all of them.
"""

from __future__ import annotations

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
from bids_dtg.errors import BundleError
from bids_dtg.files.tensors import TensorFile, encode_arrays
from bids_dtg.notices import counted, named
from bids_dtg.twin.bundle.kind import DIGITAL_TWIN
from bids_dtg.twin.bundle.part import FITTED_FILE, TwinPart, pairs_of
from bids_dtg.twin.task_json import task_to_json
from bids_dtg.twin.tasks import Task

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted, Twin
    from bids_dtg.twin.traces import BoldScale

Values = NDArray[np.float32]

# Tensors of `FITTED_FILE`; all but the first may be absent.
_PEOPLE, _REGIONS, _BOLD_REGIONS = "people", "regions", "bold_regions"
_EXPLAINED, _BOLD_MEAN, _BOLD_SD = "explained", "bold_mean", "bold_sd"
_EDGE_SD = "network.edge_sd"
CITATION = (
    "Takahashi Y, Soda T, Tomita H, Yamashita Y (2026). Digital Twin Brain: Generating Multitask "
    "Behavior from Connectomes for Personalized Therapy. BME Frontiers 7, 0231. "
    "https://doi.org/10.34133/bmef.0231"
)


@dataclass(frozen=True)
class TwinFacts:
    """What the card of a digital twin says that its fit does not know."""

    name: str  # letters, digits, dot, dash and underscore
    recipe_name: str = "default"  # what --recipe named
    connectome: str = "unknown"  # how it was made, in words
    regions: tuple[str, ...] = ()  # of a connectome: edges are pairs, row by row; (): no names
    bold_regions: tuple[str, ...] = ()  # whose BOLD it predicts; (): they have no names
    bold_scale: BoldScale | None = None  # by which BOLD was scaled; None: not known
    held: bool = True  # whether presses were held until the response window's end, in training
    data_set: str = ""  # its name, which people are hashed with; empty: it has none
    cleaning: str = "unknown"  # how the runs of rest were cleaned, in words
    atlas: str = ""  # key of the atlas whose parcels the regions are; empty: not known
    atlas_digest: str = ""  # SHA-256 of its parcels, as `Atlas.digest`; empty: not known
    version: str = "1"  # the model's own
    licence: str = "unknown"  # SPDX name, or words
    citation: str = CITATION  # what users are asked to cite
    description: str = ""  # a line or two in plain words
    for_science: bool = True  # False: as of simulated people; needs a notice
    notice: str = ""  # shown to users at each use; may be empty


@dataclass(frozen=True, eq=False)
class TwinBundle(Bundle[TwinPart]):
    """A verified digital twin: what it was fitted to; the twin itself on demand."""

    regions: tuple[str, ...]  # names of a connectome's; (): not known
    bold_regions: tuple[str, ...]  # names of those whose BOLD it predicts; (): not known
    bold_scale: tuple[Values, Values] | None  # mean and SD of each; None: not known
    explained: NDArray[np.float64] | None  # (codes,), by connectomes of others; None: no codes
    fitted_people: tuple[str, ...]  # hashes, sorted
    people: SeenPeople | None = None  # the same people by name and rest; None: not known

    @property
    def part(self) -> TwinPart:
        """What the card says of digital twins alone."""
        return self.card.part

    def seen(self, labels: Sequence[str], data_set: str | None = None) -> tuple[str, ...]:
        """Return whom of some people the twin was fitted to: evaluations leave them out.

        Where the data set has no name, the label alone decides: somebody of another data set
        who is called the same is taken for the same person.

        Parameters
        ----------
        labels
            Of people at hand.
        data_set
            Name of the data set that they are from; None: that of the twin.
        """
        name = self.part.data_set if data_set is None else data_set
        known = set(self.fitted_people)
        return tuple(label for label in labels if hash_person(name, label) in known)

    def require_regions(
        self, regions: Sequence[str], *, atlas: str = "", atlas_digest: str = ""
    ) -> None:
        """Refuse connectomes of other regions than the model's.

        Parameters
        ----------
        regions
            Names, in order. They are compared where the model knows its own, else their number is.
        atlas, atlas_digest
            Key and digest of the atlas whose parcels they are; empty: not known. They are compared
            where the model knows its own: equal names may be of other parcels.

        Raises
        ------
        BundleError
            Number, names, order or parcels differ.
        """
        part, name = self.part, self.card.name
        known = f" ({named(self.regions)})" if self.regions else ""
        if pairs_of(len(regions)) != part.edges or self.regions not in ((), tuple(regions)):
            raise BundleError(
                f"there are {counted(len(regions), 'region')} ({named(regions)}) and the model "
                f"{name} was fitted to connectomes of {counted(part.edges, 'edge')}{known}",
                expected="the same regions in the same order",
                remedy=f"choose its atlas {part.atlas} with --atlases"
                if part.atlas
                else "train a model on connectomes of these regions",
            )
        require_same_parcels(name, (part.atlas, part.atlas_digest), (atlas, atlas_digest))

    def check_weights(self) -> None:
        """Read all of the weights, without torch.

        Raises
        ------
        BundleError
            If they have changed since the bundle was loaded, are damaged, or do not fit the card.
        """
        self._tensors()

    def twin(self) -> Twin:
        """Read the twin, in eval mode, on the CPU. This imports torch.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        import torch

        from bids_dtg.twin.fitting import Twin
        from bids_dtg.twin.network.main import Sizes
        from bids_dtg.twin.recipe import find_architecture

        part, tasks = self.part, self.part.task_set
        sizes = Sizes(tasks.inputs, part.recipe.units, tasks.buttons, part.bold)
        state = {name: torch.from_numpy(array) for name, array in self._tensors().items()}
        with torch.device("meta"):  # no weights are drawn, and none are in memory twice
            twin = Twin(
                find_architecture(part.architecture), part.recipe, part.edges, sizes, part.codes
            )
        twin.load_state_dict(state, assign=True)
        return twin.eval()

    def fitted(self) -> Fitted:
        """Return what performs, as `bids_dtg.twin.fitting.fit` did; people are hashes.

        It knows nobody's own codes, and its history is in the card's `record`.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        from bids_dtg.twin.fitting import Fitted

        return Fitted(
            twin=self.twin(),
            architecture=self.part.architecture,
            recipe=self.part.recipe,
            tasks=self.part.task_set,
            people=self.fitted_people,
            seed=self.part.seed,
            own_codes=None,
            explained=self.explained,
            history={},
        )

    def _tensors(self) -> dict[str, Values]:
        """Read the weights; shapes are compared with the card's before anything else is."""
        weights, shapes = self.weights(), self.part.shapes
        check_shapes(weights, shapes, DIGITAL_TWIN.name)
        tensors: dict[str, Values] = read_tensors(
            weights.path, {name: ("float32", shape) for name, shape in shapes.items()}
        )
        if _EDGE_SD in tensors and not (tensors[_EDGE_SD] > 0).all():
            raise weights.error(f" has values of 0 or less in {_EDGE_SD}", "standard deviations")
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
    folder = find_bundle(name_or_path)
    card, identity = read_verified_card(folder, TwinPart)
    check_shapes(TensorFile(folder / WEIGHTS_FILE), card.part.shapes, card.kind)
    return TwinBundle(
        path=folder,
        card=card,
        identity=identity,
        people=SeenPeople.read(folder / PEOPLE_FILE) if PEOPLE_FILE in card.files else None,
        **_read_fitted(folder / FITTED_FILE, card.part),
    )


def write_twin_bundle(
    folder: str | Path, fitted: Fitted, facts: TwinFacts, people: SeenPeople | None = None
) -> TwinBundle:
    """Write the bundle of a fitted digital twin, and load it back from where it was written.

    All is written into a hidden folder beside `folder`, loaded once as a check, and renamed. The
    same input gives the same bytes. Whoever is in it, is in it as a hash.

    Parameters
    ----------
    folder
        Where the bundle goes. If the same bundle is there already, nothing is done.
    fitted
        What `bids_dtg.twin.fitting.fit` returned.
    facts
        What the card says beside that.
    people
        Whom the model has seen, by name and rest; None: the bundle knows those whom it was fitted
        to alone.

    Raises
    ------
    BundleError
        If something else is at `folder`, a task is none that a task file describes, names are not
        plain, the parts do not belong together, or a value is not finite.
    OutputError
        If the folder cannot be written.
    """
    _check_tasks(fitted.tasks.tasks)
    state = {name: tensor.numpy() for name, tensor in fitted.twin.cpu().state_dict().items()}
    require_finite(state, remedy="train with a lower learning rate")
    card = ModelCard(
        name=facts.name,
        version=facts.version,
        kind=DIGITAL_TWIN.name,
        part=_part(fitted, facts),
        licence=facts.licence,
        citation=facts.citation,
        description=facts.description,
        training=TrainingData(
            data=facts.data_set or "unknown",
            cleaning=facts.cleaning,
            participants=len(fitted.people),
        ),
        for_science=facts.for_science,
        notice=facts.notice,
        record=record_of(fitted),
    )
    files = {WEIGHTS_FILE: encode_arrays(state), FITTED_FILE: _encode_fitted(fitted, facts)}
    if people is not None:
        files[PEOPLE_FILE] = people.encode()
    return write_files(Path(folder), card, files, load_twin_bundle)


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


def _check_tasks(tasks: Sequence[Task]) -> None:
    for task in tasks:
        try:
            task_to_json(task)
        except ValueError as err:
            raise BundleError(
                f"the model was not written: {err}",
                expected="tasks that find_task returns, or make_task",
            ) from err


def _part(fitted: Fitted, facts: TwinFacts) -> TwinPart:
    twin = fitted.twin
    tensors = dict(twin.named_buffers())
    edges = len(tensors.get("edge_mean", tensors.get("network.edge_mean", ())))
    return TwinPart(
        architecture=fitted.architecture,
        recipe=fitted.recipe,
        tasks=fitted.tasks.tasks,
        edges=edges,
        people=len(fitted.people),
        codes=tensors["directions"].shape[1] if "directions" in tensors else 0,
        bold=twin.network.sizes.bold,
        regions=_regions(edges, facts.regions),
        connectome=facts.connectome,
        held=facts.held,
        data_set=facts.data_set,
        recipe_name=facts.recipe_name,
        seed=fitted.seed,
        atlas=facts.atlas,
        atlas_digest=facts.atlas_digest,
    )


def _regions(edges: int, names: Sequence[str]) -> int:
    """Return how many regions have the edges for pairs; 0: there is no such number.

    Raises
    ------
    BundleError
        There are names, and others in number.
    """
    if names and pairs_of(len(names)) != edges:
        raise BundleError(
            f"{counted(len(names), 'region')} are named, and connectomes have "
            f"{counted(edges, 'edge')}",
            expected=f"{counted(pairs_of(len(names)), 'edge')}, one for each pair",
        )
    number = int((1 + np.sqrt(1 + 8 * edges)) / 2)
    return number if edges and pairs_of(number) == edges else 0


def _encode_fitted(fitted: Fitted, facts: TwinFacts) -> bytes:
    hashes = sorted(hash_person(facts.data_set, label) for label in fitted.people)
    tensors: dict[str, NDArray[Any]] = {_PEOPLE: encode_people(hashes)}
    for tensor, names in ((_REGIONS, facts.regions), (_BOLD_REGIONS, facts.bold_regions)):
        if names:
            check_region_names(names)
            tensors[tensor] = encode_names(names)
    if fitted.explained is not None:
        tensors[_EXPLAINED] = np.asarray(fitted.explained, np.float64)
    if facts.bold_scale is not None:
        tensors[_BOLD_MEAN], tensors[_BOLD_SD] = facts.bold_scale.mean, facts.bold_scale.sd
    return encode_arrays(tensors)


def _read_fitted(path: Path, part: TwinPart) -> dict[str, Any]:
    """Return what a bundle has of `FITTED_FILE`, by its fields."""
    file = TensorFile(path)
    names = file.names()
    lengths = {_REGIONS: part.regions, _BOLD_REGIONS: part.bold}
    letters = {
        tensor: _letters(file, tensor, number)
        for tensor, number in lengths.items()
        if tensor in names
    }
    scale: Mapping[str, tuple[str, tuple[int, ...]]] = (
        dict.fromkeys((_BOLD_MEAN, _BOLD_SD), ("float32", (part.bold,)))
        if {_BOLD_MEAN, _BOLD_SD} & set(names)
        else {}
    )
    tensors = read_tensors(
        path,
        {_PEOPLE: ("uint8", (part.people, HASH_BYTES)), **letters, **scale},
        optional={_EXPLAINED: ("float64", (part.codes,))},
    )
    if scale and not (tensors[_BOLD_SD] > 0).all():
        raise file.error(f" has values of 0 or less in {_BOLD_SD}", "standard deviations")
    return {
        "fitted_people": decode_people(tensors[_PEOPLE], path),
        "explained": tensors.get(_EXPLAINED),
        "bold_scale": (tensors[_BOLD_MEAN], tensors[_BOLD_SD]) if scale else None,
        **{
            tensor: decode_region_names(tensors[tensor], number, path) if tensor in letters else ()
            for tensor, number in lengths.items()
        },
    }


def _letters(file: TensorFile, tensor: str, number: int) -> tuple[str, tuple[int, ...]]:
    check_names(file, tensor, number)
    return "uint8", file.shape(tensor, axes=1)
