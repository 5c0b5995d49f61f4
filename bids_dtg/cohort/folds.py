"""Folds of people: each is left out of a model in turn, and the model is judged by it."""

from __future__ import annotations

from collections.abc import Sequence

from bids_dtg.errors import SettingsError
from bids_dtg.inputs.splits_file import Families
from bids_dtg.settings import OPTIONS, Settings
from bids_dtg.stats.splits import fold_people

FOLDS = "folds"  # result of an evaluation by folds
HALVES = "halves"  # of --folds: halves of the same people's runs


def model_given(settings: Settings) -> bool:
    """Return whether a call names a model."""
    return bool(settings.inputs.model != OPTIONS["model"].default)


def refuse_model(settings: Settings) -> None:
    """Refuse a model where ``--folds`` is given.

    Raises
    ------
    SettingsError
        Both are given.
    """
    if settings.statistics.folds is not None and model_given(settings):
        raise SettingsError(
            "--folds and --model were given",
            expected="one of them: with --folds, a model is trained on the others of each fold",
        )


def draw_folds(
    settings: Settings, labels: Sequence[str], families: Families
) -> tuple[tuple[str, ...], ...]:
    """Draw the folds of ``--folds`` by ``--seed``; families stay together.

    Parameters
    ----------
    settings
        Options of a call with ``--folds``.
    labels
        Labels of the people.
    families
        Families of related people.

    Returns
    -------
    Labels of each fold, sorted.

    Raises
    ------
    SettingsError
        There are too few people, or families, to be divided.
    """
    folds = settings.statistics.folds
    assert isinstance(folds, int)
    try:
        return fold_people(labels, folds, seed=settings.modelling.seed, families=families.by_label)
    except ValueError as err:
        raise SettingsError(f"--folds {folds}: {err}", expected="more people, or fewer") from err
