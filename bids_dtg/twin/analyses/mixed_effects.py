"""Train and evaluate a model without a network: later trials from a person's first ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.fitted import FittedFacts
from bids_dtg.cohort.basis import BUNDLE
from bids_dtg.cohort.column import Column
from bids_dtg.cohort.folds import FOLDS, draw_folds, refuse_model
from bids_dtg.cohort.model_analysis import MODEL
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.cohort.seen_people import EXCLUDED, left_out_table, seen_on_page
from bids_dtg.errors import SettingsError
from bids_dtg.notices import counted, named, say
from bids_dtg.report.flags import Flag
from bids_dtg.report.numbers import figure
from bids_dtg.report.pages.analysis import AnalysisPageFacts, PageSection
from bids_dtg.report.pages.index import INDEX
from bids_dtg.settings import Settings
from bids_dtg.stats.verdict import BETTER, RULE, WORSE
from bids_dtg.twin.analyses.analysis import MixedEffectsAnalysis
from bids_dtg.twin.analyses.own_trials import (
    OWN_TRIALS,
    SCORE_COLUMNS,
    crps_table,
    known_words,
    require_later,
    score_cells,
)
from bids_dtg.twin.analyses.participants import PARTICIPANTS, participants_table, trials_on_page
from bids_dtg.twin.bundle.mixed_effects import write_mixed_effects_bundle
from bids_dtg.twin.few_shot.judging import (
    CLOSED_FORM,
    SCORES,
    OwnTrialsScore,
    closed_form_people,
    closed_form_scores,
)
from bids_dtg.twin.judging.cohort import Cohort
from bids_dtg.twin.own_trials import ROWS, Own
from bids_dtg.twin.own_trials.closed_form import learn_closed_forms
from bids_dtg.twin.participant.own_trials import own_of
from bids_dtg.twin.participant.people import trial_notes
from bids_dtg.twin.participant.without_network import refuse_network_options
from bids_dtg.twin.recipe import MIXED_EFFECTS
from bids_dtg.twin.trial_series import Segments

_FEWEST = 3  # participants that effects are learned from
_WORDS = {
    CLOSED_FORM: "this model",
    **{row.name: row.words for row in ROWS},
}
_IS = (
    "Each person has a level, an effect of condition, practice and a spread of log response times; "
    "as far as the first trials show them, they predict the trials after these. There is no "
    "network, and no connectome is read."
)
_MEANINGS = {
    "advantage": "Advantage of the model over this prediction; above 0 the model is better",
    "verdict": f"Verdict on the model against this prediction: {RULE}",
}
_NAMED = (
    Column("task", "Task of the trials"),
    Column(
        "model",
        "What predicts: closed_form (the model), or a row that is fitted for comparison",
        "prediction",
    ),
)
_HEADINGS = {"verdict": "the model is"}
_COLUMNS = tuple(
    replace(
        column,
        meaning=_MEANINGS.get(column.name, column.meaning),
        heading=_HEADINGS.get(column.name, column.heading),
    )
    for column in SCORE_COLUMNS
)
PeopleScores = dict[str, dict[str, dict[str, NDArray[np.float64]]]]


def run_training(settings: Settings) -> int:
    """Learn from everybody, or from the training set of ``--split-file``; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or output folder.
    """
    refuse_network_options(settings)
    analysis = MixedEffectsAnalysis.prepare(settings, MODEL, f"{BUNDLE}/", PARTICIPANTS)
    people, labels = analysis.people, analysis.people.split.training
    _require_enough(len(labels), "would be trained on")
    if settings.behaviour.dry_run:
        return analysis.print_plan(f"the model {analysis.name} ({MIXED_EFFECTS})", labels)
    segments = people.segments(labels)
    with analysis.results.begun():
        analysis.describe()
        tasks = f"{counted(len(people.tasks.tasks), 'task')} ({', '.join(people.tasks.names)})"
        say(f"{counted(len(labels), 'participant')}, {tasks}; {MIXED_EFFECTS}")
        analysis.results.add(f"{BUNDLE}/")
        facts = FittedFacts(
            name=analysis.name,
            data_set=analysis.data_set,
            description=f"Fitted with bids_dtg to {counted(len(labels), 'participant')} who "
            f"performed {', '.join(people.tasks.names)}: {MIXED_EFFECTS}, without a network",
        )
        forms = learn_closed_forms(segments)
        sketches = people.sketches(labels)
        bundle = write_mixed_effects_bundle(analysis.results.bundle, forms, facts, sketches)
        lead = f"{counted(len(labels), 'participant')} of {analysis.data_set}. {_IS}"
        trials = PageSection(title="Trials", tables=(trials_on_page(people, labels),))
        page = _page(analysis, lead, (trials,))
        analysis.write({PARTICIPANTS: participants_table(people)}, page)
        say(f"{bundle.card.name} {bundle.card.version} ({bundle.card.kind}): {bundle.path}")
    return 0


def run_evaluation(settings: Settings) -> int:
    """Judge ``--model`` by people outside its training set, or models of folds; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model, or nobody outside the training set.
    """
    refuse_network_options(settings)
    own = own_of(settings)
    if own is None:
        raise SettingsError(
            f"--analysis evaluate was given with a {MIXED_EFFECTS} model and without --own-trials",
            expected="--own-trials N, or half: later trials are predicted from these",
        )
    folds = settings.statistics.folds is not None
    if folds:
        refuse_model(settings)
    elif settings.modelling.architecture != "auto":
        raise SettingsError(
            "--architecture was given with --model, whose training is done",
            expected="--folds N, or no --architecture",
        )
    makes = FOLDS if folds else "evaluation"
    analysis = MixedEffectsAnalysis.prepare(settings, makes, OWN_TRIALS, EXCLUDED)
    return (_evaluate_folds if folds else _evaluate_model)(analysis, own)


def _evaluate_model(analysis: MixedEffectsAnalysis, own: Own) -> int:
    bundle = analysis.bundle
    assert bundle is not None
    unseen, seen = analysis.require_unseen(_FEWEST, "rivals")
    lost = _say_lost(analysis.people.segments(unseen), own)
    if analysis.settings.behaviour.dry_run:
        return analysis.print_plan("scores, a table and a page", unseen)
    people, rivals = _cohort(analysis, unseen), len(seen) >= _FEWEST
    training = _cohort(analysis, seen) if rivals else None
    found = closed_form_people(bundle.closed_forms(), people, training, own)
    lead = (
        f"The model {bundle.card.name} in {counted(len(unseen), 'participant')} of "
        f"{analysis.data_set}, outside its training set."
        f"{seen_on_page(analysis.why_not(seen))} {_IS}"
    )
    fits = (
        "Other predictions are fitted to the training participants in the files."
        if rivals
        else ("The files have too few training participants to fit other predictions to.")
    )
    scores = closed_form_scores(found)
    _write(analysis, lead, _section(scores, own, fits, lost), scores, analysis.why_not(seen))
    return 0


def _evaluate_folds(analysis: MixedEffectsAnalysis, own: Own) -> int:
    people, settings = analysis.people, analysis.settings
    labels = people.split.everybody
    groups = draw_folds(settings, labels, people.families)
    _require_enough(len(labels) - max(map(len, groups)), "would be trained on beside a fold")
    words = f"{len(groups)} folds of {counted(len(labels), 'participant')}"
    lost = _say_lost(people.segments(labels), own)
    if settings.behaviour.dry_run:
        return analysis.print_plan(f"scores of {words}, a table and a page", labels)
    everybody = _cohort(analysis, labels)
    found: PeopleScores = {}
    for group in groups:
        inside = np.isin(labels, group)
        rows, others = np.flatnonzero(inside), everybody.of(np.flatnonzero(~inside))
        forms = learn_closed_forms(others.segments)
        scores = closed_form_people(forms, everybody.of(rows), others, own)
        _add(found, scores, rows, len(labels))
    lead = f"{words} of {analysis.data_set}: each is predicted by fits to the others. {_IS}"
    judged = closed_form_scores(found, cross_validated=True)
    section = _section(judged, own, "All are fitted to the other folds.", lost)
    _write(analysis, lead, section, judged, {})
    return 0


def _add(
    found: PeopleScores,
    scores: PeopleScores,
    rows: NDArray[np.integer],
    people: int,
) -> None:
    """Put scores of a fold's people among those of everybody."""
    for task, predictions in scores.items():
        for name, values in predictions.items():
            nobody = {score: np.full(people, np.nan) for score in SCORES}
            joined = found.setdefault(task, {}).setdefault(name, nobody)
            for score in SCORES:
                joined[score][rows] = values[score]


def _require_enough(people: int, what: str) -> None:
    if people < _FEWEST:
        raise SettingsError(
            f"{counted(people, 'participant')} {what}",
            expected=f"{_FEWEST} or more with events that can be read, in the set training where "
            "--split-file is given",
        )


def _cohort(analysis: MixedEffectsAnalysis, labels: Sequence[str]) -> Cohort:
    return Cohort(tuple(labels), analysis.people.segments(labels))


def _write(
    analysis: MixedEffectsAnalysis,
    lead: str,
    section: PageSection,
    scores: Sequence[OwnTrialsScore],
    seen: Mapping[str, str],
) -> None:
    tables = {OWN_TRIALS: _table(scores)}
    if left_out := {**analysis.people.left_out, **seen}:
        tables[EXCLUDED] = left_out_table(left_out)
    with analysis.results.begun():
        analysis.describe()
        for sentence in _sentences(scores):
            say(sentence)
        analysis.write(tables, _page(analysis, lead, (section,)))


def _table(scores: Sequence[OwnTrialsScore]) -> ResultTable:
    rows: list[dict[str, Any]] = [
        {"task": score.task, "model": score.name, **score_cells(score)} for score in scores
    ]
    return ResultTable(
        (*_NAMED, *_COLUMNS),
        rows,
        "Scores of later trials, from first trials: a row a task, prediction and score",
    )


def _say_lost(people: Segments, own: Own) -> tuple[str, ...]:
    """Report the tasks that own trials leave none to predict in, and return the sentences."""
    lost = require_later(people, own)
    for sentence in lost:
        say(sentence)
    return lost


def _section(
    scores: Sequence[OwnTrialsScore], own: Own, fits: str, lost: Sequence[str]
) -> PageSection:
    table = _table(scores)
    tables = tuple(
        crps_table(task, table.columns, table.rows, ("model",), _named)
        for task in dict.fromkeys(score.task for score in scores)
    )
    text = (
        f"{known_words(own).capitalize()} are known of each person, and the trials after them are "
        f"predicted. {fits} Verdicts are on this model, by the CRPS of all trials: a miss counts "
        "as never, and lower is better. The CRPS of answered trials leaves out misses.",
    )
    return PageSection(
        title="With a person's own trials", text=(*_sentences(scores), *text, *lost), tables=tables
    )


def _sentences(scores: Sequence[OwnTrialsScore]) -> list[str]:
    """Return a sentence a task: which prediction of later trials is best."""
    found = []
    for task in dict.fromkeys(score.task for score in scores):
        of_task = [score for score in scores if (score.task, score.score) == (task, "crps")]
        ms = {score.name: f"{figure(1000 * score.value.mean, 1)} ms" for score in of_task}
        best = min(of_task, key=lambda score: score.value.mean)
        if best.name == CLOSED_FORM:
            words = f"this model is best ({ms[CLOSED_FORM]})"
        else:
            assert best.verdict is not None
            words = (
                f'"{_WORDS[best.name]}" is best ({ms[best.name]}). This model '
                f"({ms[CLOSED_FORM]}) against it: {best.verdict.named(BETTER, WORSE)}"
            )
        found.append(f"CRPS of later responses, {task}: {words}.")
    return found


def _named(row: Mapping[str, Any]) -> dict[str, str]:
    return {"model": _WORDS[str(row["model"])]}


def _page(
    analysis: MixedEffectsAnalysis, lead: str, sections: tuple[PageSection, ...]
) -> AnalysisPageFacts:
    people = analysis.people
    notes = [*trial_notes(people.tasks.tasks, people.behaviour, people.labels)]
    if people.left_out:
        notes.append(f"left out: {named([f'sub-{label}' for label in people.left_out])}")
    return AnalysisPageFacts(
        title=analysis.results.title,
        index=f"../../{INDEX}",
        lead=lead,
        flags=tuple(Flag("warning", note) for note in notes),
        sections=sections,
    )
