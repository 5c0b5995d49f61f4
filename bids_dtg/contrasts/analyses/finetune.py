"""Fine-tune a trained network on other people, for its own contrasts or for new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.contrasts.analyses.cohort import Cohort
from bids_dtg.contrasts.analyses.fit import (
    check_fit,
    mean_prediction,
    recentred,
    write_fitted,
)
from bids_dtg.contrasts.analyses.judge import score_fit, write_scores
from bids_dtg.contrasts.analyses.measured import with_measured
from bids_dtg.contrasts.analyses.reading import read
from bids_dtg.contrasts.analyses.splits import kept_split, plan_split, sets_of
from bids_dtg.contrasts.analyses.training_set import leave_out_seen, say_unlisted
from bids_dtg.contrasts.bundle.kinds import KINDS
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.judging.scores import BEFORE
from bids_dtg.contrasts.judging.tables import TRANSFER_COLUMNS, transfer_rows
from bids_dtg.contrasts.network import kind as network_kind
from bids_dtg.contrasts.options import ContrastsOptions
from bids_dtg.contrasts.people import FittedModel, Person, predicted_maps
from bids_dtg.contrasts.plan import CHECKPOINTS, find_recipe
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.errors import BundleError, SettingsError
from bids_dtg.inputs.statmaps import plain_contrast
from bids_dtg.notices import counted, say
from bids_dtg.report.page import Section
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import Split

Array = NDArray[np.float32]


def run_finetuning(settings: Settings) -> int:
    """Fine-tune `--model`, score it before and after, and write the tuned model.

    Every contrast that test people have is scored, tuned or not, because the publication asks
    whether tuning to one contrast also helps the others (figure 1d).

    Returns
    -------
    How many participants could not be used.

    Raises
    ------
    DtgError
        Options, data or paths cannot be used.

    Notes
    -----
    Schedules 1 (`known`) and 2 (`new`) of Serin et al. 2025.
    """
    recipe = find_recipe(settings.modelling.recipe)
    network_kind.require_packages()
    if settings.modelling.epochs is None:
        settings = settings.replace(epochs=recipe.tuning_epochs)
    cohort = Cohort.prepare(settings)
    bundle = cohort.bundle
    if not KINDS[bundle.card.kind].is_network:
        able = [kind.name for kind in KINDS.values() if kind.is_network]
        raise BundleError(
            f"--model {bundle.card.name} is of kind {bundle.card.kind}",
            expected=f"{' or '.join(able)}, which can be fine-tuned",
        )
    say_unlisted(bundle)
    own = (
        None if settings.part(ContrastsOptions).schedule == "new" else bundle.contrasts
    )
    to_learn = cohort.found(own)
    if (
        settings.part(ContrastsOptions).schedule == "known"
        and len(to_learn.contrasts) != 1
    ):
        found, labels = (
            to_learn.contrasts,
            [one.label for one in to_learn.contrasts[:5]],
        )
        raise SettingsError(
            f"--schedule known was given with {counted(len(found), 'contrast')} "
            f"({', '.join(labels)})",
            expected="one contrast, with --contrast",
        )
    cohort = cohort.find(own, everything=own is not None).of_data()
    planned = plan_split(cohort)
    training, validation = (
        tuple(label for label in labels if label in to_learn.maps)
        for labels in (planned.training, planned.validation)
    )
    learning = dataclasses.replace(planned, training=training, validation=validation)
    check_fit(KINDS[bundle.card.kind], to_learn, learning)
    if cohort.is_dry:
        return cohort.print_plan(sets_of(planned))
    rows = [
        cohort.rows[plain_contrast(contrast.label)] for contrast in to_learn.contrasts
    ]
    with cohort.results.begun() as locks:
        cohort = read(cohort.among(planned.everybody), locks)
        return _finetune(with_measured(cohort), rows)


def _finetune(cohort: Cohort, rows: Sequence[int]) -> int:
    """Tune to some rows of the people's maps, score all rows, and write the model."""
    bundle, split = cohort.bundle, kept_split(cohort)
    seen = leave_out_seen(cohort, split.test)
    test = tuple(
        person.label for person in cohort.of(split.test) if person.label not in seen
    )
    training, validation = (
        _of_rows(cohort.of(own), rows) for own in (split.training, split.validation)
    )
    tuned = [cohort.contrasts[row] for row in rows]
    fitted = _tune(cohort, (training, validation), tuned)
    contrasts = cohort.contrasts
    if cohort.settings.part(ContrastsOptions).schedule != "new":
        places = _places_in(tuned, bundle.contrasts)
        fitted = _whole(cohort, fitted, list(places.values()), [*training, *validation])
        contrasts = bundle.contrasts
    evaluation = None
    if test:
        evaluation = _score(
            cohort, fitted, tuned, dataclasses.replace(split, test=test)
        )
    else:
        say("the model is not scored, because there are no test participants")
    made = write_fitted(
        cohort, fitted, split, evaluation, contrasts=contrasts, earlier=bundle
    )
    say(f"{made.card.name} {made.card.version}: {made.path}")
    return cohort.failed


def _of_rows(people: Sequence[Person], rows: Sequence[int]) -> list[Person]:
    """Return the people who have maps of some rows, with only these rows."""
    first, last = rows[0], rows[-1] + 1
    # Indexing by a slice leaves the maps on disk.
    at = slice(first, last) if list(rows) == list(range(first, last)) else list(rows)
    own = (
        dataclasses.replace(
            person, sessions=tuple(maps[at] for maps in person.sessions)
        )
        for person in people
    )
    return [person for person in own if np.isfinite(person.maps).any()]


def _places_in(
    contrasts: Sequence[Contrast], others: Sequence[Contrast]
) -> dict[int, int]:
    """Return the row of each contrast among others, by its row here, if it is there."""
    known = {plain_contrast(contrast.label): n for n, contrast in enumerate(others)}
    found = {n: known.get(plain_contrast(one.label)) for n, one in enumerate(contrasts)}
    return {n: place for n, place in found.items() if place is not None}


def _tune(
    cohort: Cohort,
    people: tuple[Sequence[Person], Sequence[Person]],
    tuned: Sequence[Contrast],
) -> FittedModel:
    """Fine-tune to contrasts, with their own rows of the output layer or with new rows."""
    from bids_dtg.contrasts.network.kind import OUTPUT, with_new_outputs, with_rows

    settings, bundle = cohort.settings, cohort.bundle
    schedule, state = (
        settings.part(ContrastsOptions).schedule,
        bundle.network().state_dict(),
    )
    if schedule == "new":
        start = with_new_outputs(state, len(tuned), settings.modelling.seed)
    else:
        start = with_rows(state, list(_places_in(tuned, bundle.contrasts).values()))
    cohort.results.add(f"{CHECKPOINTS}/")
    fitted = network_kind.fit(
        *(people, bundle.places, cohort.form, settings, cohort.results.path, say),
        start=start,
        frozen=(OUTPUT,) if schedule == "known" else (),
    )
    facts = {"schedule": schedule, "from": bundle.identity}
    fitted = dataclasses.replace(fitted, record={**facts, **fitted.record})
    labels = [contrast.label for contrast in tuned]
    return recentred(
        fitted, people, labels, bundle.places, settings.modelling.recipe, say
    )


def _whole(
    cohort: Cohort,
    fitted: FittedModel,
    at: list[int],
    people: Sequence[Person],
) -> FittedModel:
    """Return the tuned network with all contrasts of the old one.

    `at` are the rows of the tuned contrasts in the old model. The other contrasts keep the old rows
    of the output layer. Tuning the other layers shifts their mean maps, so these are corrected to
    the means that the old model predicts for the people it was tuned on. If neither
    the recipe nor the old model re-centres, maps are not corrected.
    """
    import torch

    from bids_dtg.contrasts.network.kind import with_outputs_of
    from bids_dtg.contrasts.network.parameters import Parameters
    from bids_dtg.contrasts.network.prepared import prepare

    bundle = cohort.bundle
    state = with_outputs_of(
        {
            name: torch.from_numpy(np.asarray(tensor))
            for name, tensor in fitted.tensors.items()
        },
        bundle.network().state_dict(),
        at,
    )
    tensors = {name: tensor.numpy() for name, tensor in state.items()}
    parameters = Parameters.from_arrays(tensors, source=str(bundle.path))
    model = prepare(parameters, bundle.voxels.mask, "cpu")
    correction, old = None, bundle.correction
    if fitted.correction is not None or old is not None:
        say(
            f"mean maps of {counted(len(people), 'participant')} before and after tuning"
        )
        gains = (
            np.ones(len(bundle.contrasts), np.float32)
            if old is None
            else old.gains.copy()
        )
        before = mean_prediction(
            people, lambda own: predicted_maps(cohort.model.predict, own)
        )
        after = mean_prediction(people, lambda own: predicted_maps(model.predict, own))
        gains[at] = 1.0 if fitted.correction is None else fitted.correction.gains
        offset = before - gains[:, None] * after
        offset[at] = 0.0 if fitted.correction is None else fitted.correction.offset
        correction = Correction(gains, offset)
    labels = {bundle.contrasts[row].label for row in at}
    others = (label for label in bundle.card.part.not_individual if label not in labels)
    widths = fitted.half_widths
    if widths is not None:
        of_all = np.zeros((len(bundle.contrasts), *widths.lattice.shape), np.float32)
        of_all[at] = widths.values
        widths = dataclasses.replace(widths, values=of_all)
    return dataclasses.replace(
        fitted,
        tensors=tensors,
        model=model,
        correction=correction,
        half_widths=widths,
        same_for_all=(*others, *fitted.same_for_all),
    )


def _score(
    cohort: Cohort, fitted: FittedModel, tuned: Sequence[Contrast], split: Split
) -> dict[str, Any]:
    """Score every contrast before and after tuning, and compare with simple models."""
    old, model = _places_in(cohort.contrasts, cohort.bundle.contrasts), cohort.model
    rows = (
        range(len(tuned))
        if cohort.settings.part(ContrastsOptions).schedule == "new"
        else old.values()
    )

    def before(person: Person) -> Array:
        maps = np.full(person.maps.shape, np.nan, np.float32)
        maps[list(old)] = predicted_maps(model.predict, person)[list(old.values())]
        return maps

    found, simple = score_fit(
        cohort,
        fitted,
        split,
        name="tuned",
        before={BEFORE: before} if old else {},
        rows=list(rows),
    )
    transfer = transfer_rows(found, "tuned", {contrast.label for contrast in tuned})
    table = ResultTable(
        TRANSFER_COLUMNS,
        transfer,
        "Scores before and after tuning: one row per contrast",
    )
    cohort.results.table("desc-transfer_scores", table)
    section = Section(
        "Before and after",
        template="contrasts/judged_transfer.html",
        tables=[table.on_page("r before and after tuning, by contrast")],
    )
    return write_scores(
        cohort, found, simple, "tuned", record=fitted.record, sections=[section]
    )
