"""Runs an analysis for the kind of model that is read or trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bids_dtg.bundles.store import kind_of
from bids_dtg.cohort.region_people import model_given
from bids_dtg.dynamics.bundle.kind import KIND_OF, LINEAR, NETWORK
from bids_dtg.errors import SettingsError
from bids_dtg.extras import require
from bids_dtg.settings import OPTIONS, Settings
from bids_dtg.workflows import later

_WORDS = {LINEAR: "a linear core", NETWORK: "a network model"}
# By the values of --analysis and --architecture.
_RUN: Mapping[str, Mapping[str, Callable[[Settings], int]]] = MappingProxyType(
    {
        "train": {
            LINEAR: later("dynamics.analyses.linear_training:run_linear_training"),
            NETWORK: later("dynamics.analyses.train:run_training"),
        },
        "evaluate": {
            LINEAR: later("dynamics.analyses.evaluate:run_evaluation"),
            NETWORK: later(
                "dynamics.analyses.network_evaluation:run_network_evaluation"
            ),
        },
        "simulate": dict.fromkeys(
            _WORDS, later("dynamics.analyses.simulate:run_simulation")
        ),
        "fixed-points": {
            NETWORK: later("dynamics.analyses.fixed_points:run_fixed_points")
        },
    }
)
# Options that apply to networks only.
_OF_NETWORKS = (
    *("recipe", "epochs", "batch_size", "learning_rate", "states", "region_parameters"),
    *("no_external_input", "restarts", "structural_connectivity", "region_maps"),
)


def run_analysis(analysis: str, settings: Settings) -> int:
    """Run an analysis for the kind of model that is read or trained; return 0.

    Parameters
    ----------
    analysis
        A value of ``--analysis``.
    settings
        Options of the run, composed and checked.

    Raises
    ------
    DtgError
        The kind of model has no such analysis, or options, files or the model are wrong.
    """
    architecture = architecture_of(settings)
    if architecture not in _RUN[analysis]:
        raise SettingsError(
            f"--analysis {analysis} was given with {_WORDS[architecture]}, which does not have it",
            expected=f"a model trained with --architecture {' or '.join(_RUN[analysis])}",
        )
    if architecture == LINEAR:
        _refuse_options_of_networks(settings)
    else:
        packages = ("torch", "lightning") if analysis == "train" else ("torch",)
        instead = (
            f"give --architecture {LINEAR}, which needs none"
            if analysis == "train"
            else ""
        )
        what = f"--analysis {analysis} with {_WORDS[architecture]}"
        require(what, *packages, extra="train", otherwise=instead)
    return _RUN[analysis][architecture](settings)


def architecture_of(settings: Settings) -> str:
    """Return the architecture of the model that is read or trained."""
    modelling = settings.modelling
    if modelling.analysis == "train" or not model_given(settings):
        return modelling.architecture or LINEAR
    # A bundle of another workflow is refused when it is loaded as a network.
    kind = kind_of(settings.inputs.model)
    return LINEAR if kind == KIND_OF[LINEAR].name else NETWORK


def _refuse_options_of_networks(settings: Settings) -> None:
    values = settings.options
    changed = (name for name in _OF_NETWORKS if values[name] != OPTIONS[name].default)
    if flags := [f"--{name.replace('_', '-')}" for name in changed]:
        raise SettingsError(
            f"{' and '.join(flags)} {'was' if len(flags) == 1 else 'were'} given with "
            f"{_WORDS[LINEAR]}, which has no such setting",
            expected=f"a network (--architecture {NETWORK}), or no {', no '.join(flags)}",
        )
