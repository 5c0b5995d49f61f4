"""Runs an analysis for the kind of model that is read or trained."""

from __future__ import annotations

from bids_dtg.bundles.store import kind_of
from bids_dtg.dynamics.bundle.kind import KINDS, DynamicsKind, chosen_kind, kind_named
from bids_dtg.errors import SettingsError
from bids_dtg.extras import require
from bids_dtg.option import flag
from bids_dtg.settings import OPTIONS, Settings


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
    model = settings.inputs.model
    if model is not None:
        kind = kind_named(kind_of(model))
    else:
        kind = chosen_kind(settings.modelling.architecture)
    if analysis not in kind.analyses:
        architectures = [row.architecture for row in KINDS if analysis in row.analyses]
        raise SettingsError(
            f"--analysis {analysis} was given with {kind.words}, which does not have it",
            expected=f"a model trained with --architecture {' or '.join(architectures)}",
        )
    _refuse_options_of_others(kind, settings)
    what = f"--analysis {analysis} with {kind.words}"
    if model is not None:
        require(what, *kind.packages, extra="train")
    else:
        simple = next(row for row in KINDS if not row.packages)
        instead = f"give --architecture {simple.architecture}, which needs none"
        packages = (*kind.packages, *kind.training_packages)
        require(what, *packages, extra="train", otherwise=instead)
    return kind.analyses[analysis](settings)


def _refuse_options_of_others(kind: DynamicsKind, settings: Settings) -> None:
    """Refuse options that only another kind has."""
    values = settings.options
    for row in KINDS:
        changed = [
            name
            for name in row.options
            if name not in kind.options and values[name] != OPTIONS[name].default
        ]
        if not changed:
            continue
        flags = [flag(name) for name in changed]
        were = "was" if len(flags) == 1 else "were"
        raise SettingsError(
            f"{' and '.join(flags)} {were} given with {kind.words}, which has no such setting",
            expected=f"{row.words} (--architecture {row.architecture}), or no "
            f"{', no '.join(flags)}",
        )
