"""The kinds of model of contrast maps: one table with everything that differs between them.

A new kind is a module with the functions that `MapsKind.module` names, and a row here. A row
imports its module only when it is needed, so that listing the kinds is fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_dtg.bundles.kinds import Kind
from bids_dtg.contrasts.plan import find_recipe
from bids_dtg.errors import SettingsError
from bids_dtg.option import find_row
from bids_dtg.workflows import constant, later

if TYPE_CHECKING:
    from bids_dtg.bundles.bundle import Bundle
    from bids_dtg.bundles.card import CardPart
    from bids_dtg.bundles.kinds import Check


_part = constant("contrasts.bundle.part:MapsPart")
_load = later("contrasts.bundle.bundle:load_bundle")
_facts = later("contrasts.bundle.facts:maps_facts")
_tables = later("contrasts.bundle.facts:maps_tables")
_selftest = later("contrasts.bundle.selftest:check_maps_model")


@dataclass(frozen=True, kw_only=True)
class MapsKind(Kind):
    """One kind of model of contrast maps."""

    workflow: str = "contrasts"
    predicts: str = "contrast maps"
    part: Callable[[], type[CardPart]] = _part
    load: Callable[[Path], Bundle[Any]] = _load
    facts: Callable[[Any], list[tuple[str, str]]] = _facts
    tables: Callable[[Any], list[str]] = _tables
    selftest: Callable[[Any], list[Check]] = _selftest
    title: str  # for pages, without an article; more sentences are in `panels/methods.toml`
    # Imports the module with its functions: `channels`, `read` and `prepare` for tensors of a
    # bundle, `check` before people are read, and `fit`.
    module: Callable[[], Any]
    # A network is trained with torch on segments, needs validation people and can be fine-tuned.
    # Other kinds are fitted to whole runs, and training people are left out in turn.
    is_network: bool
    connectome: str = "marginal"  # form of connectome that it reads
    # Numbers of ROIs of the sets that are made for models of parcels. A kind with such numbers can
    # read several sets; (): it reads only one, taken from another model.
    sets: tuple[int, ...] = ()
    image_sets: tuple[int, ...] = ()  # the same for models of voxels, which take longer
    help: str = ""  # for ``--help``, where the name does not explain it
    # Of training; rows of `contrasts.plan.RECIPES`.
    recipes: tuple[str, ...] = ("default",)

    def segment_seconds(self, base: float) -> float:
        """Return the length of rest that a model of this kind predicts from.

        Parameters
        ----------
        base
            Segment length of the model that provides grid, masks and ROI maps.

        Examples
        --------
        >>> [find_kind(name).segment_seconds(360.0) for name in ("attention-unet", "linear")]
        [360.0, 86400.0]
        """
        from bids_dtg.connectome.design import SECONDS_PER_RUN, SECONDS_PER_SEGMENT

        if not self.is_network:
            return SECONDS_PER_RUN
        return base if base < SECONDS_PER_RUN else SECONDS_PER_SEGMENT

    def require_recipe(self, recipe: str) -> None:
        """Check that the kind can be trained by a recipe.

        Raises
        ------
        SettingsError
            It cannot; the message names the kinds that can.
        """
        find_recipe(recipe)
        if recipe not in self.recipes:
            able = [kind.name for kind in KINDS.values() if recipe in kind.recipes]
            raise SettingsError(
                f"--recipe {recipe} was given with --architecture {self.name}",
                expected=f"--architecture {' or '.join(able)}",
            )


def find_kind(name: str) -> MapsKind:
    """Return the row that ``--architecture`` names.

    Raises
    ------
    SettingsError
        There is no such row.

    Examples
    --------
    >>> find_kind("linear").is_network
    False
    """
    return find_row(KINDS, "--architecture", name)


ATTENTION_UNET = MapsKind(
    name="attention-unet",
    title="attention U-Net",
    module=constant("contrasts.network.kind"),
    is_network=True,
    recipes=("default", "published"),
)
LINEAR = MapsKind(
    name="linear",
    help="one linear model for all voxels or parcels, needs 5 participants",
    title="linear model",
    module=constant("contrasts.linear"),
    is_network=False,
    connectome="partial",
    sets=(15, 25, 50, 75, 100),
    image_sets=(25, 50, 100),
)
KINDS: dict[str, MapsKind] = {row.name: row for row in (LINEAR, ATTENTION_UNET)}
