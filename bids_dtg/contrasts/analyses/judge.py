"""Score a model and simple models on people's measured maps, and write the scores as tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from bids_dtg.array_types import Mask
from bids_dtg.cohort.recognised_participants import EXCLUDED, left_out_table
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.contrasts.analyses.cohort import ARRAYS, CohortArrays
from bids_dtg.contrasts.analyses.simple_models import (
    Predict,
    SimpleModels,
    baselines,
    linear_parcels,
)
from bids_dtg.contrasts.asymmetry import Homologues
from bids_dtg.contrasts.bundle.bundle import ASYMMETRY
from bids_dtg.contrasts.judging.asymmetry import asymmetry_table, score_asymmetry
from bids_dtg.contrasts.judging.scores import (
    ALL_PLACES,
    GROUP_AVERAGE,
    RETEST,
    Scores,
    ceilings,
    join,
    score_maps,
    with_derived,
    without_individuality,
)
from bids_dtg.contrasts.judging.tables import (
    MODEL_COLUMNS,
    records,
    same_for_all,
    score_tables,
)
from bids_dtg.contrasts.people import FittedModel, Person
from bids_dtg.errors import SettingsError
from bids_dtg.imaging.atlas import find_atlas
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.notices import counted, say
from bids_dtg.stats.splits import Split, family_numbers

TISSUES = ("cortex", "subcortex", "cerebellum")
_LEAST_PLACES = 20  # an r over fewer voxels of a tissue says little


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of the judged model and of others on the same people, and tables of them."""

    judged: str  # name of the evaluated model
    scores: Scores
    # The simple models among them, with sentences for the page on what they were fitted on.
    simple: SimpleModels
    tables: Mapping[str, ResultTable]  # by name, one file each
    comparisons: ResultTable  # of the judged model with others
    ceilings: pd.DataFrame  # noise ceilings over all voxels or parcels; maybe no rows
    # How the model was trained (`network`), and the folds of a cross-validation; maybe empty.
    record: Mapping[str, Any]

    @property
    def people(self) -> int:
        """Number of people who were scored."""
        return self.scores.of(self.judged).index.get_level_values("person").nunique()

    @property
    def same_for_all(self) -> list[str]:
        """Contrasts whose predicted map is the same for everybody."""
        return same_for_all(self.scores.of(self.judged))

    @property
    def facts(self) -> dict[str, Any]:
        """What the scores mean and on how many people they are, for JSON."""
        meanings = [f"{column.title}: {column.meaning}" for column in MODEL_COLUMNS]
        facts = {
            "participants": self.people,
            "conventions": "; ".join(meanings),
            "against": GROUP_AVERAGE,
            "simple_models": self.simple.record,
            "same_for_all": self.same_for_all,
        }
        if "cross_validation" in self.record:
            facts["cross_validation"] = self.record["cross_validation"]
        return facts

    def for_card(self) -> dict[str, Any]:
        """Return the scores for the card of the judged model's bundle."""
        card = {
            **self.facts,
            "rows": self.tables["models"].rows,
            "comparisons": self.comparisons.rows,
        }
        if ASYMMETRY in self.tables:
            card[ASYMMETRY] = self.tables[ASYMMETRY].rows
        if len(self.ceilings):
            card["ceilings"] = records(self.ceilings)
        return card


def score_models(
    cohort: CohortArrays,
    simple: SimpleModels,
    models: Mapping[str, Predict],
    people: Sequence[Person],
    judged: str,
    report: Callable[[str], None] = say,
) -> Scores:
    """Predict everybody's maps by each model and score them, one contrast at a time.

    Parameters
    ----------
    cohort
        Provides contrasts, voxels and families, and a store on disk for predictions, so that memory
        does not grow with the number of people.
    simple, models
        Simple models, and others by name; each predicts each person once. If everybody has a
        retest, it is scored as a further model; its voxels outside the field of view stay NaN.
    people
        People; their first session is the measured one.
    judged
        Name of the evaluated model. Its own mean prediction and another person's prediction are
        scored after it.
    report
        Receives a line for each model.
    """
    models = {**simple.models, **models}
    if all(len(person.sessions) > 1 for person in people):
        models[RETEST] = lambda person: person.sessions[1]
    store = cohort.plan.store
    labels = [person.label for person in people]
    families = family_numbers(labels, cohort.files.families.by_label)
    places = cohort.plan.bundle.places
    tissues = tissues_of(places)
    contrasts, voxels = people[0].maps.shape
    shape = (contrasts, len(people), voxels)
    measured = store.create("work/measured", shape, np.float32)
    for number, person in enumerate(people):
        measured[:, number] = person.maps
    predicted = store.create("work/predicted", shape, np.float32)
    # On disk, a contrast is contiguous; scores have people first.
    maps = predicted.swapaxes(0, 1), measured.swapaxes(0, 1)
    names = labels, cohort.files.contrast_labels
    parts = []
    for name, predict in models.items():
        report(f"scoring {name}")
        for number, person in enumerate(people):
            predicted[:, number] = predict(person)
        scores = score_maps(name, *maps, simple.mean, families, labels=names)
        if name == judged:
            scores = with_derived(scores)
        elif name in simple.leave_one_out:
            scores = without_individuality(scores)
        parts.append(scores)
        if name in (judged, GROUP_AVERAGE):
            scored = partial(score_maps, name, *maps, None, families, labels=names)
            parts += _tissue_scores(scored, tissues)
        homologues, mean = Homologues.of(places), simple.mean
        if name == judged and homologues is not None and mean is not None:
            asymmetry = score_asymmetry(name, maps, mean, homologues, families, names)
            parts.append(asymmetry)
    return join(parts)


def _tissue_scores(
    scored: Callable[..., Scores], tissues: Mapping[str, Mask]
) -> Iterator[Scores]:
    """Score maps in each tissue alone; one without voxels that all maps cover has no scores."""
    for tissue, in_tissue in tissues.items():
        try:
            scores = scored(here=in_tissue)
        except ValueError:
            continue
        yield Scores(scores.table.assign(part=tissue), {})


def score_fit(
    cohort: CohortArrays,
    fitted: FittedModel,
    split: Split,
    report: Callable[[str], None] = say,
    *,
    name: str = "model",
    before: Mapping[str, Predict] = MappingProxyType({}),
    rows: Sequence[int] | slice = slice(None),
) -> tuple[Scores, SimpleModels]:
    """Score a fitted model, and simple models of the same training people, on the test people.

    Parameters
    ----------
    cohort, fitted, split
        People with their maps, the model, and its training and test people.
    report
        Receives a line for each model.
    name, before
        Name of the model, and further models to score before it.
    rows
        Rows of the model's maps that were measured in the people.
    """
    plan, training = cohort.plan, cohort.people_of(split.training)
    seed = plan.settings.modelling.seed
    simple = baselines(training, linear_parcels(plan.bundle), seed)
    people = counted(training, "participant")
    words = f"The model and simple models were fitted on {people}."
    models = {**before, name: lambda person: fitted.predict(person)[rows]}
    # A correction found by leaving people out belongs to the fit; only others can be omitted.
    if fitted.correction is not None and not fitted.left_out_in_turn:
        plain = dataclasses.replace(fitted, correction=None)
        models[f"{name}, not re-centred"] = lambda person: plain.predict(person)[rows]
    test = cohort.people_of(split.test)
    scores = score_models(cohort, simple, models, test, name, report)
    return scores, dataclasses.replace(simple, words=words)


def evaluate(
    cohort: CohortArrays,
    scores: Scores,
    simple: SimpleModels,
    judged: str,
    record: Mapping[str, Any],
) -> Evaluation:
    """Compute the tables of scores, with noise ceilings and verdicts.

    Parameters
    ----------
    cohort, scores
        People, and scores of models on some of the people, as from `score_models`.
    simple
        The simple models among them.
    judged
        Name of the evaluated model.
    record
        How the model was trained, and the folds of a cross-validation, as in `Evaluation`.
    """
    labels = cohort.files.contrast_labels
    places = cohort.plan.bundle.places
    tissues = tissues_of(places)
    numbers = {ALL_PLACES: places.number}
    limits = {ALL_PLACES: ceilings(cohort.people, labels)}
    for tissue, in_tissue in tissues.items():
        numbers[tissue] = int(in_tissue.sum())
        limits[tissue] = ceilings(cohort.people, labels, in_tissue)
    tables = score_tables(scores, judged, cohort.people, numbers, limits)
    comparisons = tables.pop("comparisons")
    asymmetry = asymmetry_table(scores, judged)
    if asymmetry.rows:
        tables[ASYMMETRY] = asymmetry
    elif isinstance(places, ParcelPlaces):
        say("left minus right is not scored: no parcels are named L_… and R_…")
    return Evaluation(
        judged, scores, simple, tables, comparisons, limits[ALL_PLACES], record
    )


def write_scores(cohort: CohortArrays, evaluation: Evaluation) -> None:
    """Write the tables, the matrices of people by people, and who was left out."""
    plan, results = cohort.plan, cohort.plan.results
    results.add(f"{ARRAYS}/")
    for name, table in evaluation.tables.items():
        results.table(f"desc-{name}_scores", table)
    facts = {
        **evaluation.tables["models"].dictionary(),
        **evaluation.facts,
        "fitted_on": evaluation.simple.people,
        "model": evaluation.judged,
        "comparisons": evaluation.comparisons.rows,
    }
    results.json("desc-models_scores", facts)
    for name, matrices in evaluation.scores.matrices.items():
        file = "".join(letter for letter in name.title() if letter.isalnum())
        plan.store.write(f"matrices/{file}", matrices, {"model": name})
    if cohort.files.left_out:
        hide = results.path_names.hide
        reasons = cohort.files.left_out
        left_out = {label: hide(reason) for label, reason in reasons.items()}
        results.table(EXCLUDED, left_out_table(left_out))
    plan.store.discard("work")


def tissues_of(places: Places) -> dict[str, Mask]:
    """Return which of a model's voxels are of each tissue, by the tissue's name.

    Tissues are taken from the shipped atlases (Schaefer400, and HCP's structures). There are none
    for parcels, for listed places and for voxels of another template.

    Returns
    -------
    dict
        (voxels,) of each of `TISSUES` with 20 voxels or more. A voxel outside the atlases is in
        none of them.
    """
    if not isinstance(places, VoxelPlaces):
        return {}
    names = np.full(places.number, "", "<U10")  # of each voxel's tissue
    for atlas_name in ("Schaefer400", "HCP"):
        try:
            atlas = find_atlas(atlas_name, places, templateflow=TemplateFlow(None))
        except SettingsError:  # another template, or another part of the brain
            continue
        in_atlas = atlas.labels > 0
        if atlas_name == "Schaefer400":
            names[in_atlas] = "cortex"
            continue
        structures = np.array(list(atlas.parcels.values()))[atlas.columns[in_atlas]]
        is_cerebellum = np.char.startswith(structures, "CEREBELLUM")
        is_cortex = np.char.startswith(structures, "CORTEX")
        names[in_atlas] = np.select(
            [is_cortex, is_cerebellum], ["cortex", "cerebellum"], "subcortex"
        )
    tissues = {tissue: names == tissue for tissue in TISSUES}
    return {
        tissue: in_tissue
        for tissue, in_tissue in tissues.items()
        if in_tissue.sum() >= _LEAST_PLACES
    }
