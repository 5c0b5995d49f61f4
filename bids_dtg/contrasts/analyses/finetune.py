"""Fine-tune a trained network on other people, for one of its contrasts or for new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.analyses.analysis import Analysis
from bids_dtg.contrasts.analyses.baselines import Predict, baselines, linear_parcels
from bids_dtg.contrasts.analyses.cohort import Cohort
from bids_dtg.contrasts.analyses.fit import check_fit, recentred
from bids_dtg.contrasts.analyses.judge import score_models, without_correction, write_scores
from bids_dtg.contrasts.analyses.splits import draw_split, keep_split, plan_split, sets_of
from bids_dtg.contrasts.analyses.train import write_fitted
from bids_dtg.contrasts.analyses.training_set import why_left_out
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import KINDS
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.fitted import FittedModel
from bids_dtg.contrasts.judging.scores import BEFORE
from bids_dtg.contrasts.network import kind as network_kind
from bids_dtg.contrasts.people import Person, predicted_maps
from bids_dtg.contrasts.plan import hinge_weight
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.errors import BundleError, SettingsError
from bids_dtg.inputs.statmaps import plain_contrast
from bids_dtg.notices import counted, say
from bids_dtg.settings import Settings

Array = NDArray[np.float32]


def run_finetuning(settings: Settings) -> int:
    """Fine-tune `--model`, score it before and after, and write the tuned model.

    Returns
    -------
    How many participants could not be used.

    Raises
    ------
    DtgError
        Wrong options, data or places.

    Notes
    -----
    Schedules 1 (`known`) and 2 (`new`) of Serin et al. 2025.
    """
    hinge_weight(settings.modelling.recipe, settings.modelling.alpha)
    network_kind.require_packages()
    analysis = Analysis.prepare(settings)
    bundle = analysis.bundle
    if not KINDS[bundle.card.kind].is_network:
        able = [kind.name for kind in KINDS.values() if kind.is_network]
        raise BundleError(
            f"--model {bundle.card.name} is of the kind {bundle.card.kind}",
            expected=f"{' or '.join(able)}, which can learn on",
        )
    known = settings.modelling.schedule == "known"
    plan = analysis.plan(bundle.contrasts if known else None)
    analysis = analysis.of_data(plan)
    row = _row_of(plan.contrasts, bundle) if known else None
    planned = plan_split(analysis, plan)
    check_fit(KINDS[bundle.card.kind], analysis, plan, planned)
    if analysis.is_dry:
        return analysis.print_plan(plan, sets_of(planned))
    with analysis.begun() as locks:
        return _finetune(analysis, analysis.cohort(plan.of(planned.everybody), locks), row)


def _finetune(analysis: Analysis, cohort: Cohort, row: int | None) -> int:
    """Return the output row to keep while tuning; None: a new output layer is trained."""
    bundle, analysis = analysis.bundle, analysis.knowing(cohort)
    split = draw_split(analysis, cohort.labels)
    keep_split(analysis.results, split)
    training, validation = cohort.of(split.training), cohort.of(split.validation)
    seen = why_left_out(analysis, split.test)
    test = cohort.of([label for label in split.test if label not in seen])
    fitted = _tune(analysis, training, validation, row=row, contrasts=cohort.contrasts)
    evaluation = _score(analysis, fitted, cohort, training=training, test=test, row=row)
    whole = fitted if row is None else _put_back(fitted, bundle, row)
    contrasts = cohort.contrasts if row is None else bundle.contrasts
    made = write_fitted(
        analysis,
        whole,
        cohort,
        contrasts=contrasts,
        split=split,
        evaluation=evaluation,
        earlier=bundle,
    )
    say(f"{made.card.name} {made.card.version}: {made.path}")
    return cohort.failed


def _row_of(contrasts: Sequence[Contrast], bundle: ModelBundle) -> int:
    if len(contrasts) != 1:
        labels = ", ".join(contrast.label for contrast in contrasts[:5])
        raise SettingsError(
            f"--schedule known was given with {counted(len(contrasts), 'contrast')} ({labels})",
            expected="one contrast, with --contrast",
        )
    key = plain_contrast(contrasts[0].label)
    return next(
        contrast.index for contrast in bundle.contrasts if plain_contrast(contrast.label) == key
    )


def _tune(
    analysis: Analysis,
    training: Sequence[Person],
    validation: Sequence[Person],
    *,
    row: int | None,
    contrasts: Sequence[Contrast],
) -> FittedModel:
    """Fine-tune with one row of the output layer frozen, or with a new output layer."""
    from bids_dtg.contrasts.network.weights import OUTPUT, with_new_outputs, with_rows

    settings, bundle = analysis.settings, analysis.bundle
    state = bundle.network().state_dict()
    if row is None:
        start = with_new_outputs(state, len(contrasts), settings.modelling.seed)
    else:
        start = with_rows(state, [row])
    people, labels = (training, validation), [contrast.label for contrast in contrasts]
    fitted = network_kind.fit(
        *(people, bundle.places, analysis.form, settings, analysis.folder_of_fit(), say),
        start=start,
        frozen=() if row is None else (OUTPUT,),
    )
    facts = {"schedule": settings.modelling.schedule, "from": bundle.identity}
    fitted = dataclasses.replace(fitted, record={**facts, **fitted.record})
    return recentred(fitted, people, labels, bundle.places, settings.modelling.recipe, say)


def _score(
    analysis: Analysis,
    fitted: FittedModel,
    cohort: Cohort,
    *,
    training: Sequence[Person],
    test: Sequence[Person],
    row: int | None,
) -> dict[str, Any] | None:
    if not test:
        say("no test participants: the model is not scored")
        return None
    before, seed = analysis.model, analysis.settings.modelling.seed
    simple = baselines(training, linear_parcels(analysis.bundle), seed)
    words = f"The model and simple models were fitted on {counted(simple.people, 'participant')}."
    simple = dataclasses.replace(simple, words=words)
    models: dict[str, Predict] = {}
    if row is not None:
        models[BEFORE] = lambda person: predicted_maps(before, person)[[row]]
    models |= {"tuned": fitted.predict, **without_correction(fitted, "tuned")}
    found = score_models(analysis, simple, models, test, "tuned")
    return write_scores(analysis, found, cohort, simple, "tuned", record=fitted.record)


def _put_back(fitted: FittedModel, bundle: ModelBundle, row: int) -> FittedModel:
    """Restore the whole output layer of the tuned network, and set all contrasts' correction.

    The other contrasts keep their earlier correction, which was found before the tuning, and have
    no half-widths.
    """
    import torch

    from bids_dtg.contrasts.network.parameters import Parameters
    from bids_dtg.contrasts.network.prepared import prepare
    from bids_dtg.contrasts.network.weights import with_outputs_of

    state = with_outputs_of(
        {name: torch.from_numpy(np.asarray(tensor)) for name, tensor in fitted.tensors.items()},
        bundle.network().state_dict(),
    )
    correction, voxels = None, bundle.places.number
    if fitted.correction is not None or bundle.correction is not None:
        old = bundle.correction
        n = len(bundle.contrasts)
        gains = np.ones(n, np.float32) if old is None else old.gains.copy()
        offset = np.zeros((n, voxels), np.float32) if old is None else old.offset.copy()
        if fitted.correction is not None:
            gains[row], offset[row] = fitted.correction.gains[0], fitted.correction.offset[0]
        else:
            gains[row], offset[row] = 1.0, 0.0
        correction = Correction(gains, offset)
    tensors = {name: tensor.numpy() for name, tensor in state.items()}
    tuned = bundle.contrasts[row].label
    others = (label for label in bundle.card.part.not_individual if label != tuned)
    same = (*others, tuned) if fitted.same_for_all else tuple(others)
    widths = fitted.half_widths
    if widths is not None:
        of_all = np.zeros((len(bundle.contrasts), *widths.lattice.shape), np.float32)
        of_all[row] = widths.values[0]
        widths = dataclasses.replace(widths, values=of_all)
    parameters = Parameters.from_arrays(tensors, source=str(bundle.path))
    return dataclasses.replace(
        fitted,
        tensors=tensors,
        model=prepare(parameters, bundle.voxels.mask, "cpu"),
        correction=correction,
        half_widths=widths,
        same_for_all=same,
    )
