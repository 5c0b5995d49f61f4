"""The kinds of model of contrast maps: the one table of the program's facts about each.

A new kind is a module with the functions of `bids_dtg.contrasts.kind.KindModule` and a row here.
A row imports a module only when it is called, so that names and words cost nothing.
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
    from bids_dtg.bundles.selftest import Check
    from bids_dtg.contrasts.kind import KindModule


@dataclass(frozen=True)
class KindWords:
    """Words on a kind, for the methods text and pages."""

    title: str  # without an article, for pages
    # With its article; it turns connectomes into maps. {models} stands for the models of a blend.
    model: str
    owner: str  # possessive: whose error in the mean map re-centring removes
    method: str  # what the program implements with it, with references


_part = constant("contrasts.bundle.part:MapsPart")
_load = later("contrasts.bundle.bundle:load_bundle")
_facts = later("contrasts.bundle.facts:maps_facts")
_tables = later("contrasts.bundle.facts:maps_tables")
_selftest = later("contrasts.bundle.selftest:check_maps_model")


@dataclass(frozen=True, kw_only=True)
class MapsKind(Kind):
    """A row of a kind of model of contrast maps: all that differs between kinds."""

    workflow: str = "contrasts"
    predicts: str = "contrast maps"
    part: Callable[[], type[CardPart]] = _part
    load: Callable[[Path], Bundle[Any]] = _load
    facts: Callable[[Any], list[tuple[str, str]]] = _facts
    tables: Callable[[Any], list[str]] = _tables
    selftest: Callable[[Any], list[Check]] | None = _selftest
    words: KindWords  # for the methods text
    module: Callable[[], KindModule]  # imports the module that fits, reads and prepares it
    needs_torch: bool  # whether a device is chosen through torch to fit it
    connectome: str = "marginal"  # form that it reads without --connectome
    # Numbers of ROIs of the sets of maps that are made from arrays without --rois. A kind that has
    # some can read several sets; (): it reads one, which --rois or a file must name.
    sets: tuple[int, ...] = ()
    image_sets: tuple[int, ...] = ()  # the same of images, which cost more, at 2 mm or finer
    whole_runs: bool = False  # whether a run gives one connectome, not one for each segment
    needs_validation: bool = True  # whether its fit needs people that it is not fitted to
    help: str = ""  # for ``--help``, where the name does not explain it
    network_prefix: str | None = None  # prefix of its network's tensors; None: it has no network
    recipes: tuple[str, ...] = ("default",)  # training recipes, rows of `contrasts.plan.RECIPES`
    tunable: bool = False  # whether it can be fine-tuned on other people

    def form(self, asked: str | None) -> Form:
        """Return the form of the connectome that a model of this kind is trained on.

        Parameters
        ----------
        asked
            Value of ``--connectome``; None: not given.
        """
        return Form(asked or self.connectome)

    def segment_seconds(self, base: float) -> float:
        """Return the length of rest from which a model of this kind predicts at a time.

        Parameters
        ----------
        base
            Segment length of the model that provides grid, masks and ROI maps.

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
            It cannot; the message names the kinds that can.
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
    why: str = ""  # in words; empty: the user named it

    @property
    def line(self) -> str:
        """The choice and its reason in a line; empty if the user named the kind."""
        return f"architecture: {AUTO} → {self.kind.name}: {self.why}" if self.why else ""

    def to_json(self) -> dict[str, Any]:
        """Return the key `architecture` of a card's record; nothing if the user named the kind."""
        return {"architecture": {"asked": AUTO, "why": self.why}} if self.why else {}


def choose_kind(people: int, validation: int = 0, trouble: str = "") -> KindChoice:
    """Choose for `AUTO` by the number of people.

    In real people, with up to 15 for training, the linear model won within the training people of
    all splits, and outside (``docs/tried.md``); with hundreds of simulated people, local
    ridge, hence a blend, did. With few validation people the weights of a blend are noise.

    Parameters
    ----------
    people
        Number of training and validation people.
    validation
        How many of these would validate a blend.
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
    """Return the row that ``--architecture`` names; for `AUTO`, the one for few people.

    Raises
    ------
    SettingsError
        There is no such row.

    Examples
    --------
    >>> find_kind("local-ridge").needs_torch
    False
    """
    return find_row({AUTO: LINEAR, **KINDS}, "--architecture", name)


def models_in_words(record: Mapping[str, Any] | None) -> str:
    """Describe the models of a blend, by the record of its card.

    Examples
    --------
    >>> models_in_words({"blend": {"network": [1.0]}})
    'a three-dimensional attention U-Net (Oktay et al., 2018)'
    >>> models_in_words(None)
    'several models'
    """
    found = (record or {}).get("blend")
    # The record is free text of the bundle's maker.
    names = list(found) if isinstance(found, Mapping) else []
    known = [_BLENDED[name] for name in names if name in _BLENDED]
    return " and of ".join(known) or "several models"


def recipe_names() -> tuple[str, ...]:
    """Return the values of ``--recipe`` for models of contrast maps: the recipes of all kinds."""
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
    sets=(15, 25, 50, 75, 100),
    image_sets=(25, 50, 100),
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
