"""Runs an analysis for the kind of model that is read or trained."""

from __future__ import annotations

from bids_dtg.bundles.store import kind_of
from bids_dtg.dynamics.bundle.kind import (
    ARCHITECTURES,
    KINDS,
    DynamicsKind,
    kind_named,
)
from bids_dtg.errors import SettingsError
from bids_dtg.extras import require
from bids_dtg.option import find_row
from bids_dtg.settings import Settings


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
    kind = kind_of_run(settings)
    if analysis not in kind.analyses:
        architectures = [row.architecture for row in KINDS if analysis in row.analyses]
        raise SettingsError(
            f"--analysis {analysis} was given with {kind.words}, which does not have it",
            expected=f"a model trained with --architecture {' or '.join(architectures)}",
        )
    for row in KINDS:
        settings.refuse(
            (name for name in row.options if name not in kind.options),
            f"{kind.words}, which has no such setting",
            f"{row.words} (--architecture {row.architecture})",
        )
    what = f"--analysis {analysis} with {kind.words}"
    if settings.inputs.model is not None:
        require(what, *kind.packages, extra="train")
    else:
        simple = next(row for row in KINDS if not row.packages)
        instead = f"give --architecture {simple.architecture}, which needs none"
        packages = (*kind.packages, *kind.training_packages)
        require(what, *packages, extra="train", otherwise=instead)
    return kind.analyses[analysis](settings)


def kind_of_run(settings: Settings) -> DynamicsKind:
    """Return the kind of model that an analysis reads or trains.

    Raises
    ------
    SettingsError
        There is no such architecture.
    """
    model, architecture = settings.inputs.model, settings.modelling.architecture
    if model is not None:
        return kind_named(kind_of(model))
    if architecture is None:
        return KINDS[0]
    return find_row(ARCHITECTURES, "--architecture", architecture)
