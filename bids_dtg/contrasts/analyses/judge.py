"""Score a model and simple models on people's measured maps: tables, matrices and the page.

Simple models are the group average and the linear model of Tavor et al. 2016.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_dtg.cohort.known_people import EXCLUDED, left_out_table, seen_on_page
from bids_dtg.contrasts.analyses.cohort import ARRAYS, Cohort
from bids_dtg.contrasts.analyses.measured import QUALITY_TABLE, TARGETS_TABLE
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.judging.scores import (
    ALL_PLACES,
    GROUP_AVERAGE,
    LINEAR,
    RETEST,
    Scores,
    ceilings,
    join,
    score_maps,
    with_derived,
    without_individuality,
)
from bids_dtg.contrasts.judging.tables import (
    INDIVIDUAL,
    MODEL_COLUMNS,
    NO_VERDICT,
    WORTH_USING,
    records,
    same_for_all,
    score_tables,
)
from bids_dtg.contrasts.people import (
    FittedModel,
    MeanMaps,
    Person,
    mean_maps,
    predicted_maps,
)
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.imaging.atlas import find_atlas
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.notices import counted, say
from bids_dtg.report import figures
from bids_dtg.report.flags import Flag, Level
from bids_dtg.report.numbers import figure
from bids_dtg.report.page import Page, Section
from bids_dtg.report.participant import MODEL_PAGE
from bids_dtg.stats.linear import ParcelLinearBaseline, roi_parcels
from bids_dtg.stats.splits import Split, family_numbers
from bids_dtg.stats.verdict import BETTER, FEWEST, RULE, TOO_FEW, WORSE, too_few

Array = NDArray[np.float32]
Predict = Callable[[Person], NDArray[np.floating[Any]]]  # (contrasts, voxels)

TISSUES = ("cortex", "subcortex", "cerebellum")
_LEAST_PLACES = 20  # an r over fewer voxels of a tissue says little
_MAIN = 8  # columns of the models' table that the page shows first
_OF_COMPARISONS = ("against", "score", "people", "difference", "p", "verdict")
# An average over this many people has an r 0.016 below the true mean map's (simulated, 8 mm).
_FEW = 40
# The colour scale of differences in r ends at this value or above, so that negligible differences
# do not look large.
_LEAST_AWAY = 0.02
_QUESTIONS = {
    INDIVIDUAL: "Individual? Each person's own prediction compared with another person's",
    WORTH_USING: "Worth using? Predictions compared with their own mean, one map for everybody",
}
_CURVES = {
    "loss": "training loss",
    "validation_loss": "validation loss",
    "validation_r": "validation r",
    "validation_residual_r": "validation residual r",
}


@dataclass(frozen=True, eq=False)
class SimpleModels:
    """Simple models of the same people."""

    models: Mapping[str, Predict]  # by name of the model
    # How each was fitted, by name, for JSON; lists if it was fitted several times.
    record: Mapping[str, Any]
    people: int  # number of people they were fitted on; if numbers differ, the group average's
    mean: Array | None = (
        None  # mean map of the training people; None: it differs between people
    )
    # Models that were fitted for each person on all others; they have no scores of individuality.
    leave_one_out: tuple[str, ...] = ()
    words: str = ""  # what they were fitted on

    def with_average(self, mean: Array, people: int) -> SimpleModels:
        """Return these with the mean map (contrasts, voxels) of a model's training people."""
        return dataclasses.replace(
            self,
            models={**self.models, GROUP_AVERAGE: lambda person: mean},
            people=people,
            mean=mean,
            leave_one_out=tuple(
                name for name in self.leave_one_out if name != GROUP_AVERAGE
            ),
            words=f"The group average is over the {counted(people, 'participant')} that the model "
            f"was trained on; the linear model was fitted on {self.people} of the people scored.",
        )


def linear_parcels(bundle: ModelBundle) -> NDArray[np.intp]:
    """Return the parcel of each voxel, (voxels,), for the linear model on a bundle's ROIs."""
    maps = bundle.place_roi_maps
    return roi_parcels(maps[bundle.card.part.connectome.one_set(len(maps))])


def baselines(
    training: Sequence[Person], parcels: NDArray[np.intp], seed: int
) -> SimpleModels:
    """Fit the group average and the linear model.

    The linear model reads one random segment of rest per person and, if there are several sets of
    ROIs, the set nearest to 50.
    """
    mean = mean_maps(training)
    training = [person.of_one_set() for person in training]
    maps = [person.maps for person in training]
    linear = ParcelLinearBaseline(parcels).fit(_drawn_segments(training, seed), maps)
    models: dict[str, Predict] = {
        GROUP_AVERAGE: lambda person: mean,
        LINEAR: lambda person: _predicted(linear, person),
    }
    words = f"Simple models were fitted on {counted(len(training), 'participant')}."
    record = {LINEAR: _record(linear, seed)}
    return SimpleModels(models, record, len(training), mean, words=words)


def leave_one_out(
    people: Sequence[Person],
    parcels: NDArray[np.intp],
    seed: int,
    families: Mapping[str, str],
) -> SimpleModels:
    """Return simple models that are fitted, for each person, on all people of other families.

    Raises
    ------
    DatasetError
        Everybody is of one family.
    """
    everybody = MeanMaps.of(people)
    people = [person.of_one_set() for person in people]
    family = family_numbers([person.label for person in people], families)
    if np.ptp(family) == 0:
        raise DatasetError(
            f"all {counted(len(people), 'participant')} are of one family, or have the same rest",
            expected="people of two families or more, or --split-file with people to fit simple "
            "models on",
        )
    place = {person.label: number for number, person in enumerate(people)}
    maps = [person.maps for person in people]
    segments = _drawn_segments(people, seed)
    of_parcels = ParcelLinearBaseline(parcels).fit(segments, maps)

    def relatives_of(person: Person) -> list[int]:
        """Return the numbers of the person and of all relatives."""
        return np.flatnonzero(family == family[place[person.label]]).tolist()

    def average(person: Person) -> Array:
        relatives = MeanMaps.of([people[number] for number in relatives_of(person)])
        total, others = (
            everybody.total - relatives.total,
            everybody.count - relatives.count,
        )
        found: Array = (total / np.maximum(others, 1)).astype(np.float32)
        return found

    def linear(person: Person) -> Array:
        model = of_parcels
        for number in relatives_of(person):
            model = model.without(segments[number], maps[number])
        return _predicted(model, person)

    models: dict[str, Predict] = {GROUP_AVERAGE: average, LINEAR: linear}
    record = {LINEAR: _record(of_parcels, seed)}
    fitted_on = len(people) - 1
    words = f"Simple models were fitted on {counted(fitted_on, 'participant')}."
    return SimpleModels(models, record, fitted_on, None, tuple(models), words)


def _predicted(model: ParcelLinearBaseline, person: Person) -> Array:
    """Predict a person's maps, the mean over segments of rest."""
    return predicted_maps(lambda one: model.predict([one])[0], person.of_one_set())


def _drawn_segments(people: Sequence[Person], seed: int) -> list[NDArray[np.float16]]:
    """Draw one segment of rest for each person; the segments stay on disk."""
    rng = np.random.default_rng(seed)
    return [
        person.connectomes[rng.integers(len(person.connectomes))] for person in people
    ]


def _record(linear: ParcelLinearBaseline, seed: int) -> dict[str, Any]:
    _, parcels, rois = linear.coef.shape
    return {
        "parcels": parcels,
        "coefficients": 1 + rois,
        "segments": "one drawn",
        "seed": seed,
    }


def score_models(
    cohort: Cohort,
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
    store, labels = cohort.store, [person.label for person in people]
    families = family_numbers(labels, cohort.families.by_label)
    tissues, (rows, voxels) = tissues_of(cohort.bundle.places), people[0].maps.shape
    measured = store.create("work/measured", (rows, len(people), voxels), np.float32)
    for n, person in enumerate(people):
        measured[:, n] = person.maps
    predicted = store.create("work/predicted", measured.shape, np.float32)
    # On disk, a contrast is contiguous; scores have people first.
    maps = predicted.swapaxes(0, 1), measured.swapaxes(0, 1)
    by = labels, [contrast.label for contrast in cohort.contrasts]
    found = []
    for name, predict in models.items():
        report(f"scoring {name}")
        for n, person in enumerate(people):
            predicted[:, n] = predict(person)
        own = score_maps(name, *maps, simple.mean, families, labels=by)
        if name == judged:
            own = with_derived(own)
        elif name in simple.leave_one_out:
            own = without_individuality(own)
        found.append(own)
        for tissue, here in tissues.items() if name in (judged, GROUP_AVERAGE) else ():
            try:
                part = score_maps(name, *maps, None, families, labels=by, here=here)
            except ValueError:  # people's maps have no voxel of this tissue in common
                continue
            found.append(Scores(part.table.assign(part=tissue), {}))
    return join(found)


def score_fit(
    cohort: Cohort,
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
    training = cohort.of(split.training)
    simple = baselines(
        training, linear_parcels(cohort.bundle), cohort.settings.modelling.seed
    )
    words = f"The model and simple models were fitted on {counted(len(training), 'participant')}."
    models = {**before, name: lambda person: fitted.predict(person)[rows]}
    # A correction found by leaving people out belongs to the fit; only others can be omitted.
    if fitted.correction is not None and not fitted.left_out_in_turn:
        plain = dataclasses.replace(fitted, correction=None)
        models[f"{name}, not re-centred"] = lambda person: plain.predict(person)[rows]
    found = score_models(cohort, simple, models, cohort.of(split.test), name, report)
    return found, dataclasses.replace(simple, words=words)


def write_scores(
    cohort: Cohort,
    scores: Scores,
    simple: SimpleModels,
    judged: str,
    *,
    record: Mapping[str, Any] | None = None,
    sections: Sequence[Section] = (),
) -> dict[str, Any]:
    """Write tables, matrices and the page; return the scores for the bundle's card.

    Parameters
    ----------
    cohort, scores
        People, and scores of models on some of the people, as from `score_models`.
    simple
        The simple models among them, with sentences for the page on what they were fitted on.
    judged
        Name of the evaluated model.
    record
        How the model was trained (`network`), and the folds of a cross-validation.
    sections
        Further parts of the page, above the others.
    """
    record, card = record or {}, cohort.bundle.card
    labels = [contrast.label for contrast in cohort.contrasts]
    own = scores.of(judged)
    parts = {ALL_PLACES: None, **tissues_of(cohort.bundle.places)}
    limits = {
        name: ceilings(cohort.people, labels, here) for name, here in parts.items()
    }
    places = {
        name: cohort.bundle.places.number if here is None else int(here.sum())
        for name, here in parts.items()
    }
    tables = score_tables(scores, judged, cohort.people, places, limits)
    compared = tables.pop("comparisons")
    same, people = same_for_all(own), own.index.get_level_values("person").nunique()
    facts = {
        "participants": people,
        "conventions": "; ".join(
            f"{one.title}: {one.meaning}" for one in MODEL_COLUMNS
        ),
        "against": GROUP_AVERAGE,
        "simple_models": simple.record,
        "same_for_all": same,
        **{key: record[key] for key in ("cross_validation",) if key in record},
    }
    described = {
        **facts,
        "fitted_on": simple.people,
        "model": judged,
        "comparisons": compared.rows,
    }
    cohort.results.add(f"{ARRAYS}/")
    for name, table in tables.items():
        cohort.results.table(f"desc-{name}_scores", table)
    cohort.results.json(
        "desc-models_scores", {**tables["models"].dictionary(), **described}
    )
    for name, matrices in scores.matrices.items():
        file = "".join(letter for letter in name.title() if letter.isalnum())
        cohort.store.write(f"matrices/{file}", matrices, {"model": name})
    if cohort.left_out:
        hide = cohort.results.path_names.hide
        left_out = {label: hide(reason) for label, reason in cohort.left_out.items()}
        cohort.results.table(EXCLUDED, left_out_table(left_out))
    if cohort.results.has_pages:
        about = {
            "sessions": cohort.sessions,
            "words": f"{simple.words}{seen_on_page(cohort.left_out)}".strip(),
            "form": cohort.form.words,
            "parcels": sorted(
                {fit["parcels"] for fit in np.atleast_1d(simple.record[LINEAR])}
            ),
            "columns": [(column.title, column.meaning) for column in MODEL_COLUMNS[1:]],
            "rule": RULE,
            "folded": "cross_validation" in record,
            "ceilings": limits[ALL_PLACES],
            "fewest": FEWEST,
            "tables": (f"{TARGETS_TABLE}.tsv", f"{QUALITY_TABLE}.tsv"),
        }
        models, shown = tables["models"], [column.name for column in MODEL_COLUMNS]
        individual = [
            row for row in models.rows if "product" in row
        ]  # others have no more scores
        of_all = counted(len(labels), "contrast")
        # Parcels are of no tissue: there is one row, which the scores have too.
        by_tissue = (
            [tables["parts"].on_page("The model by tissue")] if len(parts) > 1 else []
        )
        score_sections = [
            Section(
                "Scores",
                template="contrasts/judged_scores.html",
                facts=about,
                tables=[
                    models.on_page(
                        "Means over participants and contrasts, with 95 % intervals",
                        shown[:_MAIN],
                    ),
                    compared.on_page("The model compared with others", _OF_COMPARISONS),
                    dataclasses.replace(models, rows=individual).on_page(
                        "More scores", [shown[0], *shown[_MAIN:]]
                    ),
                ],
            ),
            Section(
                "Contrasts",
                template="contrasts/judged_contrasts.html",
                facts=about,
                figures=[_dots(tables["contrasts"].rows, judged)],
            ),
            Section("Tissues", tables=by_tissue),
            Section(
                "People",
                template="contrasts/judged_people.html",
                figures=_matrices(scores),
            ),
            Section("Training", figures=_curves(record.get("network", {}))),
            Section(
                "Measured maps",
                cohort.measured,
                template="contrasts/judged_files.html",
                facts=about,
            ),
        ]
        page = Page(
            cohort.results.title,
            f"{counted(people, 'participant')} of {cohort.request.dataset.name}, {of_all}.",
            [
                *([] if card.for_science else [Flag("warning", card.notice)]),
                *flags(compared.rows, simple.people, f"{len(same)} of {of_all}", same),
            ],
            [*sections, *score_sections],
        )
        cohort.results.page(page, MODEL_PAGE)
    cohort.store.discard("work")
    known = {"ceilings": records(limits[ALL_PLACES])} if len(limits[ALL_PLACES]) else {}
    return {
        **facts,
        "rows": tables["models"].rows,
        "comparisons": compared.rows,
        **known,
    }


def tissues_of(places: Places) -> dict[str, NDArray[np.bool_]]:
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
    tissues = np.full(places.number, "", "<U10")
    for name in ("Schaefer400", "HCP"):
        try:
            atlas = find_atlas(name, places, templateflow=TemplateFlow(None))
        except SettingsError:  # another template, or another part of the brain
            continue
        here = atlas.labels > 0
        if name == "Schaefer400":
            tissues[here] = "cortex"
            continue
        structures = np.array(list(atlas.parcels.values()))[atlas.columns[here]]
        of_cerebellum = np.char.startswith(structures, "CEREBELLUM")
        of_cortex = np.char.startswith(structures, "CORTEX")
        tissues[here] = np.select(
            [of_cortex, of_cerebellum], ["cortex", "cerebellum"], "subcortex"
        )
    found = {tissue: tissues == tissue for tissue in TISSUES}
    return {
        tissue: here for tissue, here in found.items() if here.sum() >= _LEAST_PLACES
    }


def flags(
    comparisons: Sequence[Mapping[str, Any]],
    fitted_on: int,
    share: str,
    same: Sequence[str],
) -> list[Flag]:
    """Return what a reader must know first: the verdicts, and their limits.

    Parameters
    ----------
    comparisons
        Rows of comparisons (`comparison_rows`).
    fitted_on
        Number of people that each simple model was fitted on.
    share, same
        How many contrasts, and which ones, have the same predicted map for everybody.
    """
    found = []
    if same:
        text = (
            f"The predicted map is the same for everybody in {share}: {', '.join(same)}"
        )
        found.append(Flag("warning", text))
    decided = [row for row in comparisons if row["verdict"] != TOO_FEW]
    if not decided:
        people = max((int(row["people"]) for row in comparisons), default=0)
        few = f"{too_few(people)}: differences may not hold in other people"
        return [Flag("note", few), *found]
    for row in decided:
        about, verdict = f"{row['verdict']} ({_figures(row)})", row["verdict"]
        if row["question"]:
            level: Level = "good" if verdict == BETTER else "warning"
            found.append(Flag(level, f"{_QUESTIONS[row['question']]}: {about}"))
        elif verdict == WORSE:  # the table has the others
            words = (
                f"{row['score'].replace('_', ' ')} against {row['against']}: {about}"
            )
            found.append(Flag("warning", words))
    above = {
        row["verdict"] for row in decided if not row["question"] and row["score"] == "r"
    }
    worth = {row["verdict"] for row in decided if row["question"] == WORTH_USING}
    if NO_VERDICT in above or (BETTER in above and fitted_on < _FEW):
        text = (
            f"Simple models were fitted on {fitted_on} people: the fewer, the noisier their "
            "average, and the easier it is for a map without individual information to be better"
        )
        found.append(Flag("note", text))
    if above & {BETTER, NO_VERDICT} and worth and BETTER not in worth:
        text = (
            "The model is better than simple models, but not shown to predict individuals: it is "
            "not shown to be better than its own mean prediction, one map for everybody"
        )
        found.append(Flag("note", text))
    return found


def _figures(row: Mapping[str, Any]) -> str:
    """Write a difference with its interval and p."""
    interval = row["difference"]
    # Small differences may be significant, so they are shown with enough digits.
    digits = 4 if 0 < max(map(abs, interval)) < 0.01 else 3
    mean, low, high = (figure(value, digits) for value in interval)
    p = "p < 0.001" if row["p"] < 0.001 else f"p {row['p']:.3f}"
    return f"{mean}, 95 % from {low} to {high}, {p}"


def _dots(rows: Sequence[Mapping[str, Any]], judged: str) -> figures.Figure | None:
    """Plot r by contrast, one dot per model, with the judged model's best contrast at the top."""
    scores = pd.DataFrame(rows)
    r = scores.pivot(index="contrast", columns="model", values="r")
    r["noise ceiling"] = scores.groupby("contrast")["ceiling"].first()
    first = [judged, GROUP_AVERAGE, "noise ceiling"]
    others = [name for name in scores["model"].unique() if name not in first]
    r = r.sort_values(judged, ascending=False)[[*first, *others]].dropna(
        axis=1, how="all"
    )
    return figures.dots(
        "Mean r by contrast and model",
        "r of predicted and measured map",
        list(r.index),
        {str(name): values.to_numpy(np.float64) for name, values in r.items()},
    )


def _matrices(scores: Scores) -> list[figures.Figure | None]:
    """Plot each model's matrix, mean over contrasts, as it is and minus the mean of each row."""
    means, away = {}, {}
    for name, matrices in scores.matrices.items():
        mean = np.ma.masked_invalid(matrices).mean(axis=0)
        means[name] = mean.filled(np.nan)
        away[name] = (mean - mean.mean(axis=1, keepdims=True)).filled(np.nan)
    most = max(
        (np.nanmax(np.abs(own), initial=0.0) for own in away.values()), default=0.0
    )
    end = max(math.ceil(100 * float(most)) / 100, _LEAST_AWAY)  # the scale prints it
    return [
        figures.matrices(
            "r of measured maps (rows) with predicted ones (columns)", means
        ),
        figures.matrices("The same minus the mean of each row", away, (-end, end)),
    ]


def _curves(trained: Mapping[str, Any]) -> list[figures.Figure | None]:
    """Plot the learning curves of a trained network."""
    history = trained.get("history", ())
    return [
        figures.curves(
            title, "epoch", title, {title: np.array([epoch[key] for epoch in history])}
        )
        for key, title in _CURVES.items()
        if len(history) > 1 and all(key in epoch for epoch in history)
    ]
