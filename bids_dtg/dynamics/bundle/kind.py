"""The workflow's kinds of model, their references, and lines for ``dtg-models info``.

A new kind is a row here, and modules with its bundle and its analyses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bids_dtg.bundles.kinds import Kind
from bids_dtg.workflows import Run, constant, later

if TYPE_CHECKING:
    from bids_dtg.bundles.fitted import FittedBundle

# Works to cite, by kind of model.
REFERENCES_OF_CORES = (
    "Lütkepohl H (2005). New Introduction to Multiple Time Series Analysis. Springer, Berlin. "
    "https://doi.org/10.1007/978-3-540-27752-1",
    "Mejia AF, Nebel MB, Barber AD, Choe AS, Pekar JJ, Caffo BS, Lindquist MA (2018). Improved "
    "estimation of subject-level functional connectivity using full and partial correlation with "
    "empirical Bayes shrinkage. NeuroImage 172, 478-491. "
    "https://doi.org/10.1016/j.neuroimage.2018.01.029",
)
REFERENCES_OF_NETWORKS = (
    "Sip V, Hashemi M, Dickscheid T, Amunts K, Petkoski S, Jirsa V (2023). Characterization of "
    "regional differences in resting-state fMRI with a data-driven network model of brain "
    "dynamics. Science Advances 9, eabq7547. https://doi.org/10.1126/sciadv.abq7547",
)


@dataclass(frozen=True, kw_only=True)
class DynamicsKind(Kind):
    """A kind of model of regional activity."""

    workflow: str = "dynamics"
    architecture: str  # the value of --architecture
    help: str  # for ``--help``
    words: str  # in a sentence, with the article
    # What it does, by the values of --analysis; others are refused.
    analyses: Mapping[str, Run]
    about: str  # of outputs, for their README
    references: tuple[str, ...]  # works to cite
    options: tuple[str, ...] = ()  # that only such a model has
    # Optional packages that it needs, and further ones to train it.
    packages: tuple[str, ...] = ()
    training_packages: tuple[str, ...] = ()
    # Whether it is fitted to people's structural connectomes.
    is_connected: bool = False
    # Whether it applies to people whom it was not fitted to.
    suits_new_people: bool = True


def facts_of_series(bundle: FittedBundle[Any]) -> Iterator[tuple[str, str]]:
    """Yield the lines of ``dtg-models info`` on people and series, with their titles."""
    part = bundle.part
    session = f", session {part.session}" if part.session else ""
    yield "people", f"{part.people}, {bundle.how_known}"
    yield "regions", f"{part.regions}, {bundle.regions[0]} to {bundle.regions[-1]}"
    yield "series", f"{part.frames} frames{session}"


_EVERY_KIND = {"simulate": later("dynamics.analyses.simulate:run_simulation")}
LINEAR_DYNAMICS = DynamicsKind(
    name="linear-dynamics",
    architecture="linear",
    help="a linear process for each participant, shrunk towards the group's, in seconds",
    words="a linear core",
    predicts="regional activity, as a linear process",
    bundle=constant("dynamics.bundle.linear:LinearBundle"),
    analyses={
        "train": later("dynamics.analyses.linear_training:run_linear_training"),
        "evaluate": later("dynamics.analyses.evaluate:run_evaluation"),
        **_EVERY_KIND,
    },
    about="Regional time series at rest, and a linear model of each person: a linear core, a\n"
    "vector autoregression whose covariances are shrunk towards the mean of the training\n"
    "people. It needs no structural connectomes.",
    references=REFERENCES_OF_CORES,
    options=("folds",),
)
NETWORK_MODEL = DynamicsKind(
    name="network-model",
    architecture="network",
    help="the network model of Sip et al., 2023, for the people it is fitted to, in hours",
    words="a network model",
    predicts="regional activity, as a network of coupled regions",
    bundle=constant("dynamics.bundle.network:NetworkBundle"),
    analyses={
        "train": later("dynamics.analyses.train:run_training"),
        "evaluate": later(
            "dynamics.analyses.network_evaluation:run_network_evaluation"
        ),
        "fixed-points": later("dynamics.analyses.fixed_points:run_fixed_points"),
        **_EVERY_KIND,
    },
    about="Regional time series at rest, and a model of their network (Sip et al., 2023). All\n"
    "regions follow the same equation, each with its own parameters, and each is driven\n"
    "by the regions that it is connected to. The model was fitted to measured series and\n"
    "structural connectomes; its parameters are estimates.",
    references=REFERENCES_OF_NETWORKS,
    options=(
        "recipe",
        "epochs",
        "batch_size",
        "learning_rate",
        "states",
        "region_parameters",
        "no_external_input",
        "restarts",
        "structural_connectivity",
        "region_maps",
    ),
    packages=("torch",),
    training_packages=("lightning",),
    is_connected=True,
    suits_new_people=False,
)
# The first is the default.
KINDS = (LINEAR_DYNAMICS, NETWORK_MODEL)
ARCHITECTURES: Mapping[str, DynamicsKind] = {kind.architecture: kind for kind in KINDS}
BY_NAME: Mapping[str, DynamicsKind] = {kind.name: kind for kind in KINDS}


def kind_named(name: str) -> DynamicsKind:
    """Return the row of a bundle's kind.

    A bundle of another workflow gets the last row, whose class of bundles refuses it.
    """
    return BY_NAME.get(name, KINDS[-1])
