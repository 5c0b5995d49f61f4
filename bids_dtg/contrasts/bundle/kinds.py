"""The kinds of model of contrast maps: the one table of what the program knows of each.

A new kind is a module with the functions of `bids_dtg.contrasts.kind.KindModule` and a row here.
A row imports what it names when it is called, not before: names and words cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_dtg.bundles.kinds import Kind
from bids_dtg.connectome.form import Form
from bids_dtg.errors import SettingsError
from bids_dtg.notices import counted
from bids_dtg.settings.option import find_row
from bids_dtg.workflows import AUTO, constant, later

if TYPE_CHECKING:
    from bids_dtg.bundles.bundle import Bundle
    from bids_dtg.bundles.card import CardPart
    from bids_dtg.contrasts.kind import KindModule


@dataclass(frozen=True)
class KindWords:
    """How a kind is written of, in the methods text and elsewhere."""

    title: str  # without an article, for pages
    # With its article; it turns connectomes into maps. {models} stands for those of a blend.
    model: str
    owner: str  # whose error in the mean map re-centring takes off
    method: str  # what the program implements when it runs one, with the works to cite


_part = constant("contrasts.bundle.part:MapsPart")
_load = later("contrasts.bundle.bundle:load_bundle")
_facts = later("contrasts.bundle.facts:maps_facts")
_tables = later("contrasts.bundle.facts:maps_tables")


@dataclass(frozen=True, kw_only=True)
class MapsKind(Kind):
    """A row of a kind of model of contrast maps: all that differs between these."""

    workflow: str = "contrasts"
    predicts: str = "contrast maps"
    part: Callable[[], type[CardPart]] = _part
    load: Callable[[Path], Bundle[Any]] = _load
    facts: Callable[[Any], list[tuple[str, str]]] = _facts
    tables: Callable[[Any], list[str]] = _tables
    words: KindWords  # of the methods text
    module: Callable[[], KindModule]  # what fits, reads and prepares it
    needs_torch: bool  # whether a device is chosen through torch to fit it
    connectome: str = "marginal"  # form that it reads where --connectome is not given
    whole_runs: bool = False  # whether each run's rest gives one connectome, not one a segment
    needs_validation: bool = True  # whether its fit needs people that it is not fitted to
    help: str = ""  # what it is, for ``--help``, where the name does not say it
    network_prefix: str | None = None  # of its network's tensors; None: it has no network
    recipes: tuple[str, ...] = ("default",)  # of training, rows of `contrasts.plan.RECIPES`
    tunable: bool = False  # whether it can learn on from other people

    def form(self, asked: str | None) -> Form:
        """Return the form of the connectome that a model of this kind is trained on.

        Parameters
        ----------
        asked
            Value of ``--connectome``; None: it was not given.
        """
        return Form(asked or self.connectome)

    def segment_seconds(self, base: float) -> float:
        """Return the length of rest that a model of this kind reads at a time.

        Parameters
        ----------
        base
            That of the model which gives grid, masks and ROI maps.

        Examples
        --------
        >>> [find_kind(name).segment_seconds(360.0) for name in ("local-ridge", "linear")]
        [360.0, 86400.0]
        """
        from bids_dtg.connectome.design import SECONDS_PER_RUN, SECONDS_PER_SEGMENT

        if self.whole_runs:
            return SECONDS_PER_RUN
        return base if base < SECONDS_PER_RUN else SECONDS_PER_SEGMENT

    def require_recipe(self, recipe: str) -> None:
        """Check that the kind can be trained by a recipe.

        Raises
        ------
        SettingsError
            It cannot: with the kinds that can.
        """
        if recipe not in self.recipes:
            able = [kind.name for kind in KINDS.values() if recipe in kind.recipes]
            if not able:
                raise SettingsError(
                    f"--recipe is '{recipe}'", expected=f"one of {', '.join(recipe_names())}"
                )
            raise SettingsError(
                f"--recipe {recipe} was given with --architecture {self.name}",
                expected=f"--architecture {' or '.join(able)}",
            )


BLEND_FROM, _VALIDATION_FROM = 50, 10  # people to train and validate on, and of these to validate


@dataclass(frozen=True)
class KindChoice:
    """A kind, and why it was chosen."""

    kind: MapsKind
    why: str = ""  # in words; empty: it was asked for by name

    @property
    def line(self) -> str:
        """What was chosen and why, in a line; empty where nothing was."""
        return f"architecture: {AUTO} → {self.kind.name}: {self.why}" if self.why else ""

    def to_json(self) -> dict[str, Any]:
        """Return the key `architecture` of a card's record; nothing where nothing was chosen."""
        return {"architecture": {"asked": AUTO, "why": self.why}} if self.why else {}


def choose_kind(people: int, validation: int = 0, trouble: str = "") -> KindChoice:
    """Choose for `AUTO` by the number of people.

    Of real people, up to 15 to train, the linear model was the best of all kinds on both forms of
    the connectome and with 3.6 to 14.3 minutes of rest; with hundreds of simulated ones local
    ridge, hence a blend, was. What the models of a blend are worth is noise when few people
    validate.

    Parameters
    ----------
    people
        To train and to validate on.
    validation
        Of these, how many a blend would be validated on.
    trouble
        Why no blend can be fitted here; empty: it can.

    Examples
    --------
    >>> choose_kind(8).line
    'architecture: auto → linear: 8 participants to train and validate on, a blend needs 50'
    """
    known = f"{counted(people, 'participant')} to train and validate on"
    if people < BLEND_FROM:
        return KindChoice(LINEAR, f"{known}, a blend needs {BLEND_FROM}")
    if validation < _VALIDATION_FROM:
        return KindChoice(
            LINEAR, f"{known}, {validation} of them to validate, a blend needs {_VALIDATION_FROM}"
        )
    if trouble:
        return KindChoice(LINEAR, f"{known} are enough for a blend, but {trouble}")
    return KindChoice(BLEND, known)


def find_kind(name: str) -> MapsKind:
    """Return the row that ``--architecture`` names; of `AUTO` the one for few people.

    Raises
    ------
    SettingsError
        There is none.

    Examples
    --------
    >>> find_kind("local-ridge").needs_torch
    False
    """
    return find_row({AUTO: LINEAR, **KINDS}, "--architecture", name)


def models_in_words(record: Mapping[str, Any] | None) -> str:
    """Return what the models of a blend are, by the record of its card.

    Examples
    --------
    >>> models_in_words({"blend": {"network": [1.0]}})
    'a three-dimensional attention U-Net (Oktay et al., 2018)'
    >>> models_in_words(None)
    'several models'
    """
    found = (record or {}).get("blend")
    # Whoever made the bundle wrote the record.
    names = list(found) if isinstance(found, Mapping) else []
    known = [_BLENDED[name] for name in names if name in _BLENDED]
    return " and of ".join(known) or "several models"


def recipe_names() -> tuple[str, ...]:
    """Return what ``--recipe`` may be for models of contrast maps: the recipes of all kinds."""
    return tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.recipes))


def _attention_unet() -> KindModule:
    from bids_dtg.contrasts.network import kind

    return kind


def _local_ridge() -> KindModule:
    from bids_dtg.contrasts import local_ridge_kind

    return local_ridge_kind


def _linear() -> KindModule:
    from bids_dtg.contrasts import linear_kind

    return linear_kind.WHOLE_BRAIN


def _linear_parcel() -> KindModule:
    from bids_dtg.contrasts import linear_kind

    return linear_kind.BY_PARCEL


def _blend() -> KindModule:
    from bids_dtg.contrasts import blend

    return blend


ATTENTION_UNET = MapsKind(
    name="attention-unet",
    words=KindWords(
        title="attention U-Net",
        model="a three-dimensional attention U-Net (Oktay et al., 2018)",
        owner="The network's",
        method="an implementation of DeepTaskGen (Serin et al., 2025)",
    ),
    module=_attention_unet,
    needs_torch=True,
    network_prefix="",
    recipes=("default", "published"),
    tunable=True,
)
LOCAL_RIDGE = MapsKind(
    name="local-ridge",
    words=KindWords(
        title="local ridge",
        model="a local ridge regression, which is no network but at each voxel a linear model of "
        "that voxel's correlations, fitted over people and over the voxels around,",
        owner="The regression's",
        method="which makes ROI series as DeepTaskGen does (Serin et al., 2025) and predicts by "
        "local ridge regression in place of its network",
    ),
    module=_local_ridge,
    needs_torch=False,
)
# Models that a blend may consist of, as its record names them.
_BLENDED = {
    "local_ridge": "a local ridge regression (at each voxel a linear model of that voxel's "
    "correlations)",
    "network": "a three-dimensional attention U-Net (Oktay et al., 2018)",
    "linear": "a linear model with the same coefficients at all voxels",
}
BLEND = MapsKind(
    name="blend",
    help="a linear model, local ridge and, at voxels of a grid, the network together",
    words=KindWords(
        title="blend of models",
        model="a blend, the sum, weighed for each contrast, of the maps of {models},",
        owner="The blend's",
        method="which makes ROI series as DeepTaskGen does (Serin et al., 2025) and blends the "
        "maps of models of several kinds",
    ),
    module=_blend,
    needs_torch=True,
    network_prefix="network.",
)
_LINEAR_METHOD = (
    "which makes ROI series as DeepTaskGen does (Serin et al., 2025) and predicts by a linear "
    "model of them (Tavor et al., 2016) in place of its network"
)
LINEAR = MapsKind(
    name="linear",
    help="one linear model for all places, from 5 participants on",
    words=KindWords(
        title="linear model",
        model="a linear model of each voxel's connectome, with the same coefficients at all "
        "voxels, which are means over people of least-squares fits of a person's maps,",
        owner="The linear model's",
        method=_LINEAR_METHOD,
    ),
    module=_linear,
    needs_torch=False,
    connectome="partial",
    whole_runs=True,
    needs_validation=False,
)
LINEAR_PARCEL = MapsKind(
    name="linear-parcel",
    help="a linear model in each ROI's parcel, as published by Tavor et al., re-centred",
    words=KindWords(
        title="linear model by parcels",
        model="a linear model of each voxel's connectome, with coefficients for each parcel (where "
        "one ROI map is the largest), which are means over people of least-squares fits of a "
        "person's maps,",
        owner="The parcels' linear models'",
        method=_LINEAR_METHOD.replace("a linear model", "a linear model in each parcel"),
    ),
    module=_linear_parcel,
    needs_torch=False,
    whole_runs=True,
    needs_validation=False,
)
KINDS: dict[str, MapsKind] = {
    row.name: row for row in (ATTENTION_UNET, LOCAL_RIDGE, LINEAR, LINEAR_PARCEL, BLEND)
}
