"""Evaluate digital twins in people, or trials, that they were not fitted to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Values
from bids_dtg.cohort.recognised_participants import (
    EXCLUDED,
    left_out_table,
    seen_on_page,
)
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.cohort.splits import FOLDS, HALVES, draw_folds
from bids_dtg.errors import SettingsError
from bids_dtg.files.columns import BY_PEOPLE, Column
from bids_dtg.notices import counted, named, say
from bids_dtg.report import figures
from bids_dtg.report.figures import round_up
from bids_dtg.report.flags import Flag
from bids_dtg.report.page import Page, Section
from bids_dtg.report.tables import Table, number_text
from bids_dtg.settings import Settings
from bids_dtg.stats.verdict import BETTER, NO_EVIDENCE, RULE, WORSE, Verdict, too_few
from bids_dtg.twin.analyses.analysis import TwinAnalysis, refuse_training_options
from bids_dtg.twin.analyses.train import ALL_THE_SAME, chosen_architecture, fit_people
from bids_dtg.twin.bold import known_mean, response_conditions, responses
from bids_dtg.twin.judging.evaluation import (
    FIGURES,
    Evaluation,
    Score,
    group_r,
)
from bids_dtg.twin.judging.predictions import (
    FEWEST_TRAINING,
    GROUP,
    OWN_HALF,
    TWIN,
    Cohort,
    Judged,
    Predicted,
    join_folds,
    predict_people,
)
from bids_dtg.twin.judging.scores import mean_curve, observed_curves, scored_trials
from bids_dtg.twin.times import RT, observed_times, targets_of
from bids_dtg.twin.trials import half_of

Row = dict[str, Any]
_OF_FOLDS, _CHECKPOINTS = "desc-folds_models", "checkpoints/"
_OF_REGIONS, _OF_MATCHING = "desc-regions_responses", "desc-twins_matched"
_CAN_WRITE = (
    "desc-people_predicted",
    "desc-scores_models",
    _OF_MATCHING,
    _OF_REGIONS,
    EXCLUDED,
)
_CEILING = "noise ceiling (halves of trials)"
_WILSON = "95 % interval (Wilson)"
_OF_DIFFERENCE = (
    "95 % interval (Student's t; for r over people by resampling people, BCa)"
)
_P = "Two-sided p of {} by sign flips over people; for r over people, of jackknife values"
_NAMES = {"people": "people", TWIN: "their twins", GROUP: "network of the group"}
_LARGE_T = 3.0  # which noise exceeds in fewer than 1 % of regions
_EQUAL = 1e-6  # a smaller difference is a tie, which the simpler prediction wins
# Least end of the colour scale, as a share of the mean loss: differences of 1e-8 are not to have
# full colours.
_LEAST_LOSS_SHARE = 0.05
_SCORES = (
    Column(
        "figure",
        "Metric. rt, effect: r over people; choice: share of trials with the person's button; "
        "crps: of response times, ms; brier: of correct, wrong and missed; loss: cross-entropy",
    ),
    Column("task", "Task of the metric"),
    Column("condition", "Condition of the trials"),
    Column("model", "twin, or a baseline", "prediction"),
    Column(
        "value", "Value of the metric: r, or a mean over people", interval=BY_PEOPLE
    ),
    Column(
        "error",
        "Mean absolute error over people",
        "mean absolute error (s)",
        "s",
        interval=BY_PEOPLE,
    ),
    Column(
        "ceiling",
        "Noise ceiling of r: square root of the reliability of people's values, from odd and even "
        "trials, stepped up to all trials (Spearman-Brown)",
        interval=BY_PEOPLE,
    ),
    Column("people", "How many people"),
    Column(
        "advantage",
        "Advantage of the twin over this prediction; above 0 the twin is better",
        interval=_OF_DIFFERENCE,
    ),
    Column("advantage_p", _P.format("the advantage")),
    Column(
        "verdict", f"Verdict on the twin against this prediction: {RULE}", "the twin is"
    ),
)
_MATCHED = (
    Column("people", "How many people"),
    Column("matched", "Mean loss of people's own twins"),
    Column("mismatched", "Mean loss of other people's twins"),
    Column(
        "p",
        "p of a mean loss as low as own twins' under 2,000 random assignments to people",
    ),
    Column(
        "better_than_average",
        "Share of people whose own twin is better than the mean of others",
        interval=_WILSON,
    ),
    Column(
        "identified",
        "Share of people whose own twin is the best of all; n/a: no twins differ",
        interval=_WILSON,
    ),
    Column(
        "mean_rank",
        "Mean rank of people's own twin among all, 1 the best; n/a: no twins differ",
    ),
)
_REGIONS = (
    Column("region", "Region of task BOLD"),
    Column("task", "Task"),
    Column("condition", "Condition of the trials"),
    *Column(
        "{}_response",
        "Response to trials of the condition, mean over people, in SD of the training people: {}",
    ).each(("observed", "twin", "training_mean")),
    *Column("{}_t", "t over people of the second condition minus the first: {}").each(
        ("observed", "twin", "training_mean")
    ),
    Column(
        "r_people",
        "r over people of predicted with observed mean responses to the task; n/a: connectomes are "
        "not shown to predict the region",
    ),
    Column(
        "ridge_r_people", "The same, by a ridge on the connectome in training people"
    ),
    Column(
        f"{OWN_HALF}_r_people",
        "The same, by the person's own first half, with --folds halves",
    ),
    Column(
        "predicted_by_connectomes",
        "Whether responses in the region differ between twins",
    ),
)
_REGIONS_ON_PAGE = (
    "region",
    "task",
    "condition",
    "observed_response",
    "twin_response",
    "training_mean_response",
    "observed_t",
    "twin_t",
    "r_people",
    "ridge_r_people",
)
_FOLDS = (
    Column("fold", "Number of the fold"),
    Column("judged", "Participants who are judged"),
    Column("trained_on", "Participants that twins and baselines are fitted to"),
    Column("epochs", "Epochs of the fit"),
    Column(
        "z",
        "z of the agreement of predicted with observed mean times, in people left out of the fit's "
        "own regressions",
    ),
    Column("twins_differ", "Whether twins differ; else all are the group's network"),
)


def run_evaluation(settings: Settings) -> int:
    """Evaluate ``--model`` in people outside its training set, or fits by ``--folds``; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model, or nobody to judge.
    """
    folds = settings.statistics.folds
    if folds is None:
        refuse_training_options(settings, "--folds N")
        return _by_model(settings)
    analysis = TwinAnalysis.prepare(
        settings, FOLDS, *_CAN_WRITE, _OF_FOLDS, _CHECKPOINTS
    )
    labels = analysis.people.split.everybody
    if folds == HALVES:
        fewest = len(labels)
        words = f"halves of the runs of {counted(labels, 'participant')}"
        how = (
            "twins and baselines are fitted to the first half of everybody's runs, and judged by "
            "the second half of the same runs"
        )
    else:
        groups = draw_folds(settings, labels, analysis.people.families)
        fewest = len(labels) - max(map(len, groups))
        words = f"{len(groups)} folds of {counted(labels, 'participant')}"
        how = (
            "each fold's people are judged once, with all trials, by twins and baselines that were "
            "fitted to the others"
        )
    if fewest < FEWEST_TRAINING:
        raise SettingsError(
            f"{counted(fewest, 'participant')} would be trained on ({words})",
            expected=f"{FEWEST_TRAINING} or more with a connectome and events",
        )
    if settings.behaviour.dry_run:
        return analysis.print_plan(f"scores of {words}, tables and a page", labels)
    architecture = chosen_architecture(settings).name
    lead = f"Twins ({architecture}) by {words} of {analysis.data_set}: {how}."
    (people, _), fits = analysis.training_cohort(labels), list[Row]()
    with analysis.writing():
        place = analysis.results.add(_CHECKPOINTS)
        if folds == HALVES:
            judged, people = _judged_by_halves(analysis, fits, people, place)
        else:
            judged = _judged_by_folds(analysis, fits, people, groups, place)
        _finish(analysis, lead, fits, judged, people)
        shutil.rmtree(place, ignore_errors=True)
    return 0


def _by_model(settings: Settings) -> int:
    analysis = TwinAnalysis.prepare(settings, "evaluation", *_CAN_WRITE)
    bundle = analysis.model
    unseen, seen = analysis.require_unseen(FEWEST_TRAINING, "baselines")
    if settings.behaviour.dry_run:
        return analysis.print_plan("scores, tables and a page", unseen)
    people = analysis.cohort(unseen)
    enough = len(seen) >= FEWEST_TRAINING
    training = analysis.cohort(seen) if enough else None
    baselines = (
        f"Baselines are fitted to {counted(seen, 'participant')} of the training set."
        if enough
        else "There are no baselines: the files have too few of the model's training participants. "
        "Add their files."
    )
    lead = (
        f"{bundle.title} ({bundle.part.architecture}) evaluated in "
        f"{counted(unseen, 'participant')} of {analysis.data_set} outside its training set, "
        f"with all trials.{seen_on_page(analysis.seen)} {baselines}"
    )
    with analysis.writing():
        say(f"evaluating {counted(unseen, 'participant')}. {baselines}")
        judged = predict_people(
            bundle.fitted(),
            people,
            training,
            adjustment=bundle.adjustment,
            seed=settings.modelling.seed,
        )
        _finish(analysis, lead, [], judged, people)
    return 0


def _judged_by_folds(
    analysis: TwinAnalysis,
    fits: list[Row],
    people: Cohort,
    groups: Sequence[Sequence[str]],
    place: Path,
) -> Judged:
    """Fit twins to all folds but one and predict that one, in turn; a stopped run resumes."""
    row = {label: number for number, label in enumerate(people.labels)}
    parts = []
    for number, group in enumerate(groups, 1):
        rows = np.array([row[label] for label in group])
        training = np.setdiff1d(np.arange(len(people.labels)), rows)
        say(f"fold {number} of {len(groups)}: {counted(training, 'participant')} …")
        fold = place / f"fold-{number}"
        parts.append(
            (rows, _judged(analysis, fits, people.of(training), people.of(rows), fold))
        )
    return join_folds(parts)


def _judged_by_halves(
    analysis: TwinAnalysis, fits: list[Row], people: Cohort, place: Path
) -> tuple[Judged, Cohort]:
    """Fit twins to everybody's first half of each run, and predict the second half."""
    first, second = (_half(analysis, people, number) for number in (0, 1))
    judged = _judged(analysis, fits, first, second, place / "halves")
    models = {
        **judged.models,
        OWN_HALF: Predicted(times=observed_times(first.segments)),
    }
    bold = judged.bold
    if bold is not None and first.bold is not None:
        bold = {**bold, OWN_HALF: responses(first.bold, first.segments)}
    return replace(judged, models=models, bold=bold), second


def _judged(
    analysis: TwinAnalysis,
    fits: list[Row],
    training: Cohort,
    people: Cohort,
    place: Path,
) -> Judged:
    """Fit twins to some people and predict others; append a row on the fit."""
    fitted, adjustment = fit_people(analysis, training, place)
    fits.append(
        {
            "fold": len(fits) + 1,
            "judged": len(people.labels),
            "trained_on": len(fitted.people),
            "epochs": sum(map(len, fitted.history.values())),
            "z": None if fitted.gate is None else float(fitted.gate.z[0]),
            "twins_differ": fitted.twin.differ,
        }
    )
    seed = analysis.settings.modelling.seed
    return predict_people(fitted, people, training, adjustment=adjustment, seed=seed)


def _half(analysis: TwinAnalysis, people: Cohort, number: int) -> Cohort:
    whole = analysis.people.runs(people.labels)
    halves = [[half_of(run, number) for run in runs] for runs in whole]
    segments = analysis.people.stacked(halves)
    bold = None
    if people.bold is not None:
        bold = [
            [
                None if measured is None else measured.half(number, run.run_seconds)
                for measured, run in zip(*bold_and_runs, strict=True)
            ]
            for bold_and_runs in zip(people.bold, whole, strict=True)
        ]
    return replace(people, segments=segments, bold=bold)


def _finish(
    analysis: TwinAnalysis,
    lead: str,
    fits: Sequence[Row],
    judged: Judged,
    people: Cohort,
) -> None:
    """Score, and write tables and page."""
    say(f"evaluating {counted(people.labels, 'participant')}")
    if people.bold is not None and judged.bold is None:
        say("task BOLD is not evaluated, as the training set, or a fold, has none")
    evaluation = Evaluation(judged, people, analysis.settings.modelling.seed)
    tables = evaluation_tables(evaluation)
    if fits:
        tables[_OF_FOLDS] = ResultTable(_FOLDS, fits, "Fits: one row per fold")
    seen = {} if analysis.bundle is None else analysis.seen
    if left_out := {**analysis.people.left_out, **seen}:
        tables[EXCLUDED] = left_out_table(left_out)
    for sentence, _ in winners(evaluation.scores):
        say(sentence)
    analysis.write(tables, _page(analysis, lead, evaluation, tables))


def evaluation_tables(evaluation: Evaluation) -> dict[str, ResultTable]:
    """Return the tables, by the names of their files."""
    tables = {
        "desc-people_predicted": ResultTable(
            *_people_table(evaluation),
            "Observed and predicted times and losses of each participant",
        ),
        "desc-scores_models": ResultTable(
            _SCORES,
            [_score_row(score, evaluation) for score in evaluation.scores],
            "Scores: one row per metric, task, condition and prediction",
        ),
        _OF_MATCHING: ResultTable(
            _MATCHED,
            [evaluation.matching] if evaluation.matching else [],
            "Losses of all twins on all people; one row",
        ),
    }
    if rows := list(_region_rows(evaluation)):
        words = "Task BOLD: one row per region and condition"
        tables[_OF_REGIONS] = ResultTable(_REGIONS, rows, words)
    return tables


def _region_rows(evaluation: Evaluation) -> Iterator[Row]:
    """Yield responses of each region to each condition, with t of the task."""
    judged, tasks = evaluation.judged, evaluation.people.segments.tasks
    if judged.bold is None:
        return
    names = ("observed", "twin", "training_mean")
    means = {f"{name}_response": known_mean(judged.bold[name]) for name in names}
    scores = evaluation.bold_scores.items()
    for region, name in enumerate(judged.regions):
        if not np.isfinite(means["observed_response"][region]).any():
            continue  # without signal
        for column, (task, condition) in enumerate(response_conditions(tasks)):
            place = tasks.names.index(task)
            yield {
                "region": name,
                "task": task,
                "condition": condition,
                **{key: values[region, column] for key, values in means.items()},
                **{key: values[region, place] for key, values in scores},
                "predicted_by_connectomes": bool(judged.bold["open"][:, region].all()),
            }


def _people_table(evaluation: Evaluation) -> tuple[tuple[Column, ...], list[Row]]:
    """Return columns and rows of the table of people: times of each task, and losses."""
    what = "mean response time (rt), or that in the second condition minus the first (effect)"
    judged, people = evaluation.judged, evaluation.people
    names = [target.name for target in targets_of(people.segments.tasks)]
    times, losses = judged.each("times"), judged.each("losses")
    columns = (
        Column("participant_id", "Participant"),
        Column(
            "fold", "Fold of the person, who was predicted from the others; n/a: none"
        ),
        *Column("observed_{}", f"Observed {{}}: {what}", unit="s").each(names),
        *(
            column
            for model in times
            for column in Column(
                f"{model}_{{}}", f"{{}} as predicted by {model}", unit="s"
            ).each(names)
        ),
        *Column("{}_loss", "Cross-entropy of the button time series: {}").each(losses),
    )
    values = {
        f"{model}_{name}": predictions[:, column]
        for model, predictions in {"observed": evaluation.observed, **times}.items()
        for column, name in enumerate(names)
    }
    values |= {f"{model}_loss": predictions for model, predictions in losses.items()}
    rows: list[Row] = [
        {
            "participant_id": f"sub-{label}",
            "fold": None if judged.folds is None else int(judged.folds[number]) + 1,
            **{name: predictions[number] for name, predictions in values.items()},
        }
        for number, label in enumerate(people.labels)
    ]
    return columns, rows


def _score_row(score: Score, evaluation: Evaluation) -> Row:
    return {
        "figure": score.figure,
        "task": score.task or "all",
        "condition": score.condition or "all",
        "model": score.name,
        "value": score.value,
        "error": score.error,
        "ceiling": evaluation.ceilings.get(f"{score.task}_{score.figure}"),
        "people": score.people,
        **(score.verdict or Verdict.unknown(0)).columns("advantage"),
        "verdict": score.verdict.word if score.verdict else "n/a",
    }


def winners(scores: Sequence[Score]) -> list[tuple[str, bool]]:
    """Return a sentence for each metric, and whether the twin is ever worse than the best rival.

    A prediction is called best only where the verdict is better or worse.
    """
    sentences = []
    for figure, (words, sign, *_) in FIGURES.items():
        clauses, worse = [], False
        scores_of_figure = [score for score in scores if score.figure == figure]
        for twin in scores_of_figure:
            rivals = [
                score
                for score in scores_of_figure
                if score.where == twin.where
                and score.name != TWIN
                and np.isfinite(score.value.mean)
            ]
            if twin.name != TWIN or not rivals:
                continue
            rival = max(rivals, key=lambda score: sign * score.value.mean)
            worse |= rival.is_worse
            values = ", ".join(
                f"{_words(score.name)} {_value(score)}"
                for score in (twin, rival)
                if np.isfinite(score.value.mean)
            )
            clauses.append(
                f"{twin.where}{': ' if twin.where else ''}"
                f"{_verdict_words(twin, rivals, rival)} ({values})"
            )
        if clauses:
            text = f"{words[:1].upper()}{words[1:]}. {'; '.join(clauses)}."
            sentences.append((text, worse))
    return sentences


def _verdict_words(twin: Score, rivals: Sequence[Score], rival: Score) -> str:
    """Say which prediction is best; of the twin and its best rival, or that none is."""
    if not np.isfinite(twin.value.mean):
        return "not computable for the twin"
    if rival.verdict is None:
        return "not compared"
    if not rival.verdict.decided:
        return rival.verdict.named(BETTER, WORSE)
    if not rival.is_worse:
        return f"{_words(TWIN)} is best"
    equal = [
        _words(score.name)
        for score in rivals
        if abs(score.value.mean - rival.value.mean) <= _EQUAL
    ]
    if len(equal) > 1:
        return f"{named(equal)} are better than the twin"
    return f"{_words(rival.name)} is best"


def _value(score: Score) -> str:
    _, _, scale, digits, unit = FIGURES[score.figure]
    return f"{number_text(scale * score.value.mean, digits)}{unit}"


def _page(
    analysis: TwinAnalysis,
    lead: str,
    evaluation: Evaluation,
    tables: Mapping[str, ResultTable],
) -> Page:
    card = analysis.bundle.card if analysis.bundle else None
    scores, best = evaluation.scores, winners(evaluation.scores)
    fits = tables[_OF_FOLDS].rows if _OF_FOLDS in tables else []
    flags = [
        Flag("warning", f"Below a baseline. {text}") for text, worse in best if worse
    ]
    if few := too_few(max(score.people for score in scores)):
        flags.append(Flag("warning", few))
    if same := [row["fold"] for row in fits if not row["twins_differ"]]:
        where = "" if len(fits) == 1 else f" in {named([f'fold {n}' for n in same])}"
        text = f"Connectomes are not shown to predict left-out people{where}, so all twins there "
        flags.append(Flag("warning", f"{text}are the group's network"))
    elif not evaluation.twins_differ:
        flags.append(Flag("warning", ALL_THE_SAME))
    if card is not None and not card.for_science:
        flags.append(Flag("problem", card.notice))
    facts = {
        "winners": best,
        "rule": RULE,
        "seed": evaluation.seed,
        "halves": analysis.settings.statistics.folds == HALVES,
    }
    tasks = [
        task
        for task in evaluation.people.segments.tasks.names
        if any(score.task == task and score.people for score in scores)
    ]
    lead = f"{lead} A twin's answers are predictions, not measurements. {NO_EVIDENCE}"
    return Page(
        title=analysis.results.title,
        lead=lead,
        flags=tuple(flags),
        sections=(
            Section(
                "Which prediction is best",
                template="twin/times.html",
                facts=facts,
                tables=tuple(_table(evaluation, task) for task in tasks),
                figures=tuple(_scatters(evaluation, tasks)),
            ),
            Section(
                "Real and simulated trials",
                template="twin/trials.html",
                figures=tuple(_curves(evaluation, tasks)),
            ),
            *_bold_sections(evaluation, tables),
            *_match_sections(evaluation, tables[_OF_MATCHING]),
            *_fit_sections(tables, facts),
        ),
    )


def _fit_sections(tables: Mapping[str, ResultTable], facts: Row) -> Iterator[Section]:
    """Yield the section on fits by folds or halves; nothing for a model."""
    if _OF_FOLDS in tables:
        table = tables[_OF_FOLDS].on_page("", folded="Fits, one row per fold")
        yield Section("Fits", template="twin/fits.html", facts=facts, tables=(table,))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _scatters(
    evaluation: Evaluation, tasks: Sequence[str]
) -> Iterator[figures.Figure | None]:
    """Yield observed and predicted times and effects of each person in tasks."""
    predicted = evaluation.judged.each("times")[TWIN]
    targets = targets_of(evaluation.people.segments.tasks)
    for target, *values in zip(
        targets, evaluation.observed.T, predicted.T, strict=True
    ):
        if target.task in tasks:
            what = "response time" if target.what == RT else target.what
            yield figures.scatter(
                f"Each person: {target.task} {what}",
                "observed (s)",
                "predicted by the twin (s)",
                np.column_stack(values),
                identity=True,
            )


def _table(evaluation: Evaluation, task: str) -> Table:
    """Return all metrics of a task, one row per prediction."""
    scores = [score for score in evaluation.scores if score.task == task]
    keys = list(dict.fromkeys((score.figure, score.condition) for score in scores))
    names = list(dict.fromkeys(score.name for score in scores))
    headings = {key: " ".join(part for part in key if part) for key in keys}
    values = {(s.figure, s.condition, s.name): s.value for s in scores}
    ceilings = {
        (figure, "", _CEILING): evaluation.ceilings.get(f"{task}_{figure}")
        for figure, _ in keys
    }
    cells = {
        key: (v.mean, v.low, v.high) for key, v in {**values, **ceilings}.items() if v
    }
    return Table(
        f"{task}: r over people, or mean over people, with 95 % intervals",
        ("prediction", *headings.values()),
        [
            (_words(n), *(cells.get((*key, n)) for key in keys))
            for n in (*names, _CEILING)
        ],
        model=_words(TWIN),
        better=[
            (_words(s.name), headings[s.figure, s.condition])
            for s in scores
            if s.is_worse
        ],
    )


def _curves(
    evaluation: Evaluation, tasks: Sequence[str]
) -> Iterator[figures.Figure | None]:
    """Yield densities of response times and shares of answered trials, of people and networks."""
    judged, segments = evaluation.judged, evaluation.people.segments
    windows = {task.name: task.window_seconds for task in segments.tasks.tasks}
    sources: dict[str, Sequence[Values]] = {"people": observed_curves(segments)}
    predicted = [judged.each(part) for part in ("answered", "correct", "seconds")]
    for name in (TWIN, GROUP):
        if name in judged.models:
            sources[name] = [values[name] for values in predicted]
    for task, condition, used in scored_trials(segments):
        if task not in tasks or not used.any():
            continue
        series = {}
        for name, (answered, correct, seconds) in sources.items():
            at, share = mean_curve(answered, seconds, used, windows[task])
            right = mean_curve(correct, seconds, used, windows[task])[1]
            gap = np.full(1, np.nan)
            shares = np.concatenate([right, gap, share - right])
            series[_NAMES[name]] = np.concatenate([at, gap, at]), shares
        where = f"{task}, {condition} ({int(used.sum())} trials)"
        onset = "seconds from the onset"
        yield figures.lines(
            f"Mean time series: {where}", onset, "share of trials", series
        )


def _bold_sections(
    evaluation: Evaluation, tables: Mapping[str, ResultTable]
) -> Iterator[Section]:
    """Yield predicted and measured responses of regions; nothing without BOLD."""
    judged, tasks = evaluation.judged, evaluation.people.segments.tasks
    bold, scores = judged.bold, evaluation.bold_scores
    if bold is None:
        return
    observed = scores["observed_t"]
    is_measured = np.isfinite(observed)
    share_large = float(np.mean(np.abs(observed[is_measured]) > _LARGE_T))
    half_column = [f"{OWN_HALF}_r_people"] if OWN_HALF in bold else []
    table = tables.get(_OF_REGIONS, ResultTable(_REGIONS, []))
    yield Section(
        "Task BOLD",
        template="twin/bold.html",
        facts={
            "twin": number_text(group_r(scores, "twin"), 3),
            "training": number_text(group_r(scores, "training_mean"), 3),
            "large": number_text(100 * share_large, 0),
            "outputs": GROUP not in judged.models,  # connectomes make all weights
            "open": int(bold["open"].all(axis=0).sum()),
            "regions": int(is_measured.any(axis=1).sum()),
            "least": _LARGE_T,
        },
        tables=(
            table.on_page(
                "Responses of regions, means over people (SD)",
                (*_REGIONS_ON_PAGE, *half_column),
                folded="Responses of each region",
            ),
        ),
        figures=(
            figures.scatter(
                "t over people of each region",
                "measured",
                "predicted by the twins",
                np.stack([observed.T.ravel(), scores["twin_t"].T.ravel()], axis=1),
                groups=list(np.repeat(tasks.names, len(judged.regions))),
                identity=True,
            ),
        ),
    )


def _match_sections(evaluation: Evaluation, table: ResultTable) -> Iterator[Section]:
    """Yield the section on whether people's own connectomes matter."""
    if not table.rows:
        return
    losses = evaluation.judged.losses
    differences = losses - np.nanmean(losses, axis=0)
    largest = float(np.nanmax(np.abs(differences), initial=0.0))
    end = round_up(max(largest, _LEAST_LOSS_SHARE * float(np.nanmean(losses))))
    yield Section(
        "Own connectome or somebody else's",
        template="twin/matched.html",
        tables=(table.on_page("Losses of twins"),),
        figures=(
            figures.matrices(
                "Loss of each twin (rows) on each person's responses (columns), minus the person's "
                "mean; below 0 the twin fits the person better than others do",
                {"loss": differences},
                ends=(-end, end),
            ),
        ),
    )
