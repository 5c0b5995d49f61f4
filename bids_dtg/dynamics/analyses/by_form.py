"""An analysis is run as the form of the call's model has it."""

from __future__ import annotations

from bids_dtg.bundles.bundle import kind_of
from bids_dtg.cohort.folds import model_given, refuse_model
from bids_dtg.dynamics.forms import FORMS, LINEAR, Form
from bids_dtg.errors import SettingsError
from bids_dtg.extras import require
from bids_dtg.settings import OPTIONS, Settings


def run_by_form(analysis: str, settings: Settings) -> int:
    """Run an analysis by the form of the model that the call makes, or reads.

    Parameters
    ----------
    analysis
        A value of ``--analysis``.
    settings
        Options of the call, composed and checked.

    Raises
    ------
    DtgError
        The form has no such analysis, or wrong options, files or model.
    """
    form = form_of(settings)
    if analysis not in form.analyses:
        able = [own.architecture for own in FORMS if analysis in own.analyses]
        raise SettingsError(
            f"--analysis {analysis} was given with {form.words}, which has none",
            expected=f"a model trained with --architecture {' or '.join(able)}",
        )
    packages = form.packages.get(analysis, ())
    require(
        f"--analysis {analysis} with {form.words}",
        *packages,
        extra="train",
        otherwise=f"give --architecture {LINEAR}, which needs none" if analysis == "train" else "",
    )
    if settings.statistics.folds is not None:
        refuse_model(settings)
    return form.analyses[analysis](settings)


def form_of(settings: Settings) -> Form:
    """Return the form of the model that a call makes, or reads.

    Raises
    ------
    SettingsError
        An option of training is given that the form does not have.
    """
    modelling = settings.modelling
    if modelling.analysis == "train" or not model_given(settings):
        name = modelling.architecture or LINEAR
        form = next(own for own in FORMS if own.architecture == name)
        _refuse_options(form, settings)
        return form
    # A bundle of another workflow is refused by the last form, of networks.
    kind = kind_of(settings.inputs.model)
    return next((own for own in FORMS if own.kind == kind), FORMS[-1])


def _refuse_options(form: Form, settings: Settings) -> None:
    """Refuse options of training that only models of another form have."""
    values = settings.options
    for other in FORMS:
        given = [
            name
            for name in other.options
            if name not in form.options and values[name] != OPTIONS[name].field.default
        ]
        if given:
            flags = " and ".join("--" + name.replace("_", "-") for name in given)
            raise SettingsError(
                f"{flags} {'was' if len(given) == 1 else 'were'} given with --architecture "
                f"{form.architecture}: {form.words} has no such setting",
                expected=f"--architecture {other.architecture}, or no "
                f"{flags.replace(' and ', ', no ')}",
            )
