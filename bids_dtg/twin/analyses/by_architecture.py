"""An analysis is run with a network or without, as the call's model is."""

from __future__ import annotations

from bids_dtg.bundles.bundle import kind_of
from bids_dtg.cohort.folds import model_given
from bids_dtg.errors import SettingsError
from bids_dtg.extras import require
from bids_dtg.settings import Settings
from bids_dtg.twin.recipe import MIXED_EFFECTS
from bids_dtg.workflows import Run, later

_OF_NETWORKS: dict[str, Run] = {
    "train": later("twin.analyses.train:run_training"),
    "evaluate": later("twin.analyses.evaluate:run_evaluation"),
    "intervene": later("twin.analyses.intervene.call:run_interventions"),
}
_WITHOUT: dict[str, Run] = {
    "train": later("twin.analyses.mixed_effects:run_training"),
    "evaluate": later("twin.analyses.mixed_effects:run_evaluation"),
}


def run_by_architecture(analysis: str, settings: Settings) -> int:
    """Run an analysis as the model is that the call makes, or reads.

    Parameters
    ----------
    analysis
        A value of ``--analysis``.
    settings
        Options of the call, composed and checked.

    Raises
    ------
    DtgError
        There is no such analysis without a network, or wrong options, files or model.
    """
    if not _without_network(analysis, settings):
        words = f"--workflow twin --analysis {analysis}"
        require(words, "torch", "lightning", extra="train", otherwise=_OTHERWISE.get(analysis, ""))
        return _OF_NETWORKS[analysis](settings)
    if analysis not in _WITHOUT:
        raise SettingsError(
            f"--analysis {analysis} was given with a {MIXED_EFFECTS} model, which has no network",
            expected="a model trained with another --architecture",
        )
    return _WITHOUT[analysis](settings)


_OTHERWISE = {"train": f"give --architecture {MIXED_EFFECTS}, which has no network"}


def _without_network(analysis: str, settings: Settings) -> bool:
    """Return whether the model of a call has no network."""
    if analysis == "train" or not model_given(settings):
        return settings.modelling.architecture == MIXED_EFFECTS
    return kind_of(settings.inputs.model) == MIXED_EFFECTS
