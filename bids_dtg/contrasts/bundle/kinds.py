"""The kinds of model of contrast maps: one table with everything that differs between them.

A new kind is a module with the functions of `KindModule`, and a row here. A row imports its module
only when it is needed, so that listing the kinds is fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bids_dtg.bundles.kinds import Kind
from bids_dtg.contrasts.plan import find_recipe
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.notices import counted
from bids_dtg.option import find_row
from bids_dtg.workflows import constant, later

if TYPE_CHECKING:
    from bids_dtg.bundles.bundle import Bundle
    from bids_dtg.contrasts.people import FitData, FittedModel, MapModel
    from bids_dtg.files.tensors import TensorFile
    from bids_dtg.imaging.places import Places
    from bids_dtg.settings import Settings


_bundle = constant("contrasts.bundle.bundle:ModelBundle")


def _nothing(*_arguments: object) -> None:
    """Check nothing."""


class KindModule(Protocol):
    """The functions of a kind's module."""

    def channels(self, weights: TensorFile) -> tuple[int, int]:
        """Return how many ROIs a model reads and how many maps it predicts."""

    def read(self, weights: TensorFile, places: Places) -> object:
        """Read the tensors of a bundle, to check them.

        Raises
        ------
        BundleError
            They are damaged, or do not fit the places.
        """

    def prepare(
        self,
        weights: TensorFile,
        places: Places,
        device: str,
        threads: int | None,
        report: Callable[[str], None],
    ) -> MapModel:
        """Read the tensors of a bundle as a model that predicts maps."""

    def fit(
        self,
        data: FitData,
        settings: Settings,
        folder: Path,
        report: Callable[[str], None],
    ) -> FittedModel:
        """Fit a model to people.

        Parameters
        ----------
        data, settings
            People, with validation people if the kind needs them, and options of the run.
        folder
            Folder of checkpoints, for kinds that can continue an interrupted fit.
        report
            Receives lines on the progress.
        """


@dataclass(frozen=True, kw_only=True)
class MapsKind(Kind):
    """One kind of model of contrast maps."""

    workflow: str = "contrasts"
    predicts: str = "contrast maps"
    bundle: Callable[[], type[Bundle[Any]]] = _bundle
    # For pages, without an article. `panels/methods.toml` can say more of the kind.
    title: str
    module: Callable[[], KindModule]  # imports the module with its functions
    fewest_people: int = 1  # to train on
    # Whether validation people are held out, from whom a fitted model is re-centred. Other kinds
    # find a correction themselves, with training people left out in turn, or need none.
    needs_validation: bool = False
    reads_segments: bool = False  # of a run, not whole runs
    # Whether the prediction for a voxel depends on other voxels' connectomes. In other kinds, a
    # voxel without data has no prediction.
    uses_neighbours: bool = False
    # Whether the module also has the functions that `analyses.finetune` calls, and `network`, which
    # reads the tensors as a torch network; other models have no gradients.
    tunes: bool = False
    # Checks, before data are read, that the optional packages of a training are installed.
    require_packages: Callable[[], None] = _nothing
    # Checks what a fit needs of people and places, before data are read. It takes the settings,
    # numbers of training and validation people, labels of people who lack a contrast, and places.
    check: Callable[..., None] = _nothing
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

        if not self.reads_segments:
            return SECONDS_PER_RUN
        return base if base < SECONDS_PER_RUN else SECONDS_PER_SEGMENT

    @property
    def words(self) -> str:
        """The title with its article."""
        article = "an" if self.title[0].lower() in "aeiou" else "a"
        return f"{article} {self.title}"

    def require_people(self, training: int) -> None:
        """Check that there are enough people to train on.

        Raises
        ------
        DatasetError
            There are too few.
        """
        if training < self.fewest_people:
            raise DatasetError(
                f"{counted(training, 'training participant')}: too few for {self.words}",
                expected=f"{self.fewest_people} or more",
                remedy="add participants with rest and measured maps",
            )

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
    >>> find_kind("linear").title
    'linear model'
    """
    return find_row(KINDS, "--architecture", name)


def tunable() -> str:
    """Return the names of the kinds that can be fine-tuned."""
    return " or ".join(kind.name for kind in KINDS.values() if kind.tunes)


ATTENTION_UNET = MapsKind(
    name="attention-unet",
    title="attention U-Net",
    module=constant("contrasts.network.kind"),
    needs_validation=True,
    reads_segments=True,
    uses_neighbours=True,
    tunes=True,
    require_packages=later("contrasts.network.kind:require_packages"),
    check=later("contrasts.network.kind:check"),
    recipes=("default", "published"),
)
LINEAR = MapsKind(
    name="linear",
    help="one linear model for all voxels or parcels, needs 5 participants",
    title="linear model",
    module=constant("contrasts.linear"),
    fewest_people=5,
    connectome="partial",
    sets=(15, 25, 50, 75, 100),
    image_sets=(25, 50, 100),
)
# The first is the default.
KINDS: dict[str, MapsKind] = {row.name: row for row in (LINEAR, ATTENTION_UNET)}
