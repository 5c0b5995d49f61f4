"""Evaluate a digital twin in people outside its training set; write tables and a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bids_dtg.cohort.column import BY_PEOPLE, Column, interval_of
from bids_dtg.cohort.folds import FOLDS, refuse_model
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.cohort.seen_people import (
    EXCLUDED,
    left_out_table,
    seen_on_page,
)
from bids_dtg.files.atomic import discard_folder
from bids_dtg.notices import counted, say
from bids_dtg.report.charts import nice
from bids_dtg.report.flags import Flag
from bids_dtg.report.numbers import figure as written
from bids_dtg.report.pages.analysis import (
    AnalysisPageFacts,
    Lines,
    Matrices,
    PageSection,
    Scatter,
    Table,
)
from bids_dtg.report.pages.index import INDEX
from bids_dtg.settings import Settings
from bids_dtg.stats.paired import Interval
from bids_dtg.stats.verdict import NO_EVIDENCE, RULE, WORSE, Verdict
from bids_dtg.twin.analyses.analysis import TwinAnalysis, refuse_training_options
from bids_dtg.twin.analyses.folds import FoldPlan, fold_flags, fold_table
from bids_dtg.twin.curves import MeanTrial, Values, per_second
from bids_dtg.twin.judging.cohort import Cohort
from bids_dtg.twin.judging.curves import PEOPLE
from bids_dtg.twin.judging.evaluation import (
    FIGURES,
    GROUP,
    TWIN,
    Evaluation,
    Samples,
    Score,
    evaluate,
    evaluate_folds,
)
from bids_dtg.twin.judging.winners import winner_sentences
from bids_dtg.twin.participant.covariates import read_covariates

Row = dict[str, Any]
_FEWEST_TRAINING = 3  # training participants, for baselines
_FROM_ONSET = "seconds from the onset"
_NAMES = {
    PEOPLE: "people",
    TWIN: "their twins",
    GROUP: "group\N{RIGHT SINGLE QUOTATION MARK}s network",
}
_OF_FOLDS = "desc-folds_models"
_CHECKPOINTS = "checkpoints/"
_CAN_WRITE = (
    *("desc-people_predicted", "desc-scores_models", "desc-rt_quantiles", "desc-trials_curves"),
    *("desc-twins_matched", EXCLUDED),
)
_CAUTION = f"A twin's answers are predictions, not measurements. {NO_EVIDENCE}"
_CEILING = "noise ceiling (halves of trials)"
_WILSON = "95 % interval (Wilson)"
_LOSS_DIGITS = 6  # decimals of a difference of losses: what is smaller is rounding
# Of the mean loss: where colours end at the least. On a scale of their own, differences of 1e-8
# had full colours.
_LEAST_LOSS_SHARE = 0.05
_OF_DIFFERENCE = "95 % interval (Student's t; for r over people by resampling people, BCa)"
_P = "Two-sided p of {} by sign flips over people; for r over people, of jackknife values"
_TASK = (Column("task", "Task of the figure"), Column("condition", "Condition of the trials"))
_SCORES = (
    Column(
        "figure",
        "rt, effect: r over people; choice: share of trials with the person's button; crps: of "
        "response times, s; brier: of correct, wrong and miss; loss: cross-entropy",
    ),
    *_TASK,
    Column("model", "twin, or a baseline", "prediction"),
    Column("value", "Value of the figure: r, or a mean over people", interval=BY_PEOPLE),
    Column(
        "error",
        "Mean absolute error over people",
        "mean absolute error (s)",
        "s",
        interval=BY_PEOPLE,
    ),
    Column(
        "ceiling",
        "Noise ceiling of r: square root of the reliability of people's figures, by odd and even "
        "trials, brought to all trials (Spearman-Brown)",
        interval=BY_PEOPLE,
    ),
    Column("people", "How many people"),
    Column(
        "advantage",
        "Advantage of the twin over this prediction; above 0 the twin is better",
        interval=_OF_DIFFERENCE,
    ),
    Column("advantage_p", _P.format("the advantage")),
    Column("verdict", f"Verdict on the twin against this prediction: {RULE}", "the twin is"),
)
_QUANTILES = (
    *_TASK,
    Column("probability", "Probability of the quantile"),
    Column("observed_seconds", "Quantile of people's response times", unit="s"),
    Column("predicted_seconds", "Quantile of response times predicted by the twins", unit="s"),
)
_CURVES = (
    *_TASK,
    Column("curve_of", "people: observed; twin, group_network: predicted by the networks"),
    Column("seconds_from_onset", "Time since the onset of a trial", unit="s"),
    Column("share_answered", "Share of scored trials that are answered by then, mean over people"),
    Column(
        "share_answered_correctly",
        "Share of scored trials that are answered correctly by then; n/a where none is correct",
    ),
)
_MATCHED = (
    Column("people", "How many people"),
    Column("matched", "Mean loss of people's own twins"),
    Column("mismatched", "Mean loss of other people's twins"),
    Column("p", "p of a mean loss of own twins as low by 2,000 random assignments to people"),
    Column(
        "better_than_average",
        "Share of people whose own twin is better than the mean of others",
        interval=_WILSON,
    ),
    Column("identified", "Share of people whose own twin is the best of all", interval=_WILSON),
    Column("mean_rank", "Mean rank of people's own twin among all, 1 the best"),
    Column(
        "below_others",
        "Mean loss of other people's twins on a person less that of the own, mean over people",
        interval=_OF_DIFFERENCE,
    ),
    Column("below_others_p", _P.format("below_others")),
    Column("below_others_verdict", f"Verdict on own twins, by below_others: {RULE}"),
    Column(
        "below_group",
        "Loss of the network of the group less that of own twins",
        interval=_OF_DIFFERENCE,
    ),
    Column("below_group_p", _P.format("below_group")),
    Column("below_group_verdict", f"Verdict on own twins, by below_group: {RULE}"),
)


def run_evaluation(settings: Settings) -> int:
    """Evaluate ``--model`` in people outside its training set, or by folds; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model, or nobody outside the training set.
    """
    if settings.statistics.folds is not None:
        return _by_folds(settings)
    refuse_training_options(settings, "--folds N")
    analysis = TwinAnalysis.prepare(settings, "evaluation", *_CAN_WRITE)
    assert analysis.bundle is not None
    unseen, seen = analysis.require_unseen(_FEWEST_TRAINING, "baselines")
    if settings.behaviour.dry_run:
        return analysis.print_plan("scores, tables and a page", unseen)
    people = _cohort(analysis, unseen)
    training = _cohort(analysis, seen) if len(seen) >= _FEWEST_TRAINING else None
    fitted = analysis.bundle.fitted()
    with analysis.results.begun():
        analysis.describe()
        say(f"evaluating {counted(len(unseen), 'participant')}. {_baselines_in_words(len(seen))}")
        found = evaluate(fitted, people, training, samples=Samples(settings.modelling.seed))
        tables = evaluation_tables(found)
        if left_out := {**analysis.people.left_out, **analysis.why_not(seen)}:
            tables[EXCLUDED] = left_out_table(left_out)
        say_winners(found)
        analysis.write(tables, _page(analysis, found, seen))
    return 0


def _by_folds(settings: Settings) -> int:
    """Fit twins to all folds of people but one, and judge by that one, in turn."""
    refuse_model(settings)
    analysis = TwinAnalysis.prepare(settings, FOLDS, *_CAN_WRITE, _OF_FOLDS, _CHECKPOINTS)
    plan = FoldPlan.of(analysis)
    if settings.behaviour.dry_run:
        return analysis.print_plan(f"scores of {plan.words}, tables and a page", plan.labels)
    people = plan.gather(analysis)
    with analysis.results.begun():
        analysis.describe()
        checkpoints = analysis.results.add(_CHECKPOINTS)
        fits = plan.fit(people, checkpoints)
        say(f"evaluating {counted(people.people, 'participant')}")
        found = evaluate_folds(
            [fit.fold for fit in fits], people, samples=Samples(settings.modelling.seed)
        )
        of_folds = fold_table(fits)
        tables = {**evaluation_tables(found), _OF_FOLDS: of_folds}
        page = _page_of_folds(analysis, plan, found, of_folds, fold_flags(fits))
        if left_out := analysis.people.left_out:
            tables[EXCLUDED] = left_out_table(left_out)
        say_winners(found)
        analysis.write(tables, page)
        discard_folder(checkpoints)
    return 0


def say_winners(found: Evaluation) -> None:
    """Report which prediction is best at each group of figures."""
    for sentence in winner_sentences(found):
        say(sentence)


def _cohort(analysis: TwinAnalysis, labels: Sequence[str]) -> Cohort:
    people, bundle = analysis.people, analysis.bundle
    assert bundle is not None
    segments = people.segments(labels)
    given = read_covariates(analysis.settings, labels)
    connectomes, taken_out = analysis.adjusted(labels)
    return Cohort(
        *(tuple(labels), segments, connectomes, taken_out, given.numbers, given.categories),
        families=people.families.by_label,
    )


def evaluation_tables(found: Evaluation) -> dict[str, ResultTable]:
    """Return the tables, by the names of their files."""
    return {
        "desc-people_predicted": ResultTable(
            people_columns(found),
            people_rows(found),
            "Observed and predicted figures of each participant",
        ),
        "desc-scores_models": ResultTable(
            _SCORES,
            [score_row(score, found) for score in found.scores],
            "Scores: a row a figure, task, condition and prediction",
        ),
        "desc-rt_quantiles": ResultTable(
            _QUANTILES, quantile_rows(found), "Quantiles of response times, observed and predicted"
        ),
        "desc-trials_curves": ResultTable(
            _CURVES,
            curve_rows(found),
            "Shares of trials answered by each time, of people and networks",
        ),
        "desc-twins_matched": ResultTable(
            _MATCHED, matching_rows(found), "Losses of all twins on all people; one row"
        ),
    }


def people_columns(found: Evaluation) -> tuple[Column, ...]:
    """Return the columns of the table of people: figures of each task, observed and predicted."""
    what = "mean response time (rt), or that in the second condition less the first (effect)"
    return (
        Column("participant_id", "Participant"),
        *(
            (Column("fold", "Number of the fold, without which the person was predicted"),)
            if found.folds is not None
            else ()
        ),
        *Column("observed_{}", f"Observed {{}}: {what}", unit="s").each(found.targets),
        *(
            column
            for model in found.predicted
            for column in Column(f"{model}_{{}}", f"{{}} as predicted by {model}", unit="s").each(
                found.targets
            )
        ),
        *Column(
            "choice_{}", "Share of the trials of the task {} with the participant's button"
        ).each(found.choice),
        Column("own_loss", "Cross-entropy of the button time series of the participant's twin"),
        Column("group_loss", "Cross-entropy of the button time series of the group's network"),
    )


def people_rows(found: Evaluation) -> list[Row]:
    """Return the observed and predicted figures of each person, a row each."""
    group = found.group_losses
    return [
        {
            "participant_id": f"sub-{label}",
            **({} if found.folds is None else {"fold": int(found.folds[n]) + 1}),
            **{f"observed_{name}": value for name, value in _by_target(found, found.observed[n])},
            **{
                f"{model}_{name}": value
                for model, values in found.predicted.items()
                for name, value in _by_target(found, values[n])
            },
            **{f"choice_{task}": values[n] for task, values in found.choice.items()},
            "own_loss": found.own_losses[n],
            "group_loss": np.nan if group is None else group[n],
        }
        for n, label in enumerate(found.labels)
    ]


def _by_target(found: Evaluation, values: Any) -> Iterator[tuple[str, float]]:
    yield from zip(found.targets, values.tolist(), strict=True)


def score_row(score: Score, found: Evaluation) -> Row:
    """Return a score of an evaluation as a row."""
    ceiling = found.ceilings.get(f"{score.task}_{score.figure}")
    return {
        "figure": score.figure,
        "task": score.task or "all",
        "condition": score.condition or "all",
        "model": score.name,
        "value": score.value,
        "error": score.error,
        "ceiling": None if ceiling is None else ceiling.r,
        "people": score.people,
        **_verdict("advantage", score.verdict),
        "verdict": _word(score.verdict),
    }


def _verdict(name: str, found: Verdict | None) -> Row:
    return {**(found or Verdict.unknown(0)).columns(name)}


def _word(found: Verdict | None) -> str:
    return found.word if found else "n/a"


def quantile_rows(found: Evaluation) -> list[Row]:
    """Return quantiles of observed and predicted response times, a row each."""
    return [
        {
            "task": task,
            "condition": condition,
            "probability": float(share),
            "observed_seconds": float(table.observed_seconds[row, place]),
            "predicted_seconds": float(table.predicted_seconds[row, place]),
        }
        for task, table in found.quantiles.items()
        for row, condition in enumerate(found.conditions[task])
        for place, share in enumerate(table.probabilities)
    ]


def curve_rows(found: Evaluation) -> list[Row]:
    """Return the curves of people and networks, a row for each time."""
    return [
        {
            "task": tuple(found.conditions)[mean.task],
            "condition": found.conditions[tuple(found.conditions)[mean.task]][mean.condition],
            "curve_of": name,
            "seconds_from_onset": float(seconds),
            "share_answered": float(answered),
            "share_answered_correctly": float(correct),
        }
        for name, curves in found.curves.items()
        for mean in curves
        for seconds, answered, correct in zip(
            mean.seconds, mean.answered, mean.correct, strict=True
        )
    ]


def matching_rows(found: Evaluation) -> list[Row]:
    """Return the comparison of losses of all twins on all people; no row for one person."""
    if found.comparison is None:
        return []
    of, matching = found.comparison, found.comparison.matching
    return [
        {
            "people": matching.people,
            "matched": matching.matched,
            "mismatched": matching.mismatched,
            "p": matching.p,
            "better_than_average": matching.better_than_average,
            "identified": matching.identified,
            "mean_rank": matching.mean_rank,
            **_verdict("below_others", of.own),
            "below_others_verdict": _word(of.own),
            **_verdict("below_group", of.group),
            "below_group_verdict": _word(of.group),
        }
    ]


def _page(analysis: TwinAnalysis, found: Evaluation, seen: Sequence[str]) -> AnalysisPageFacts:
    bundle = analysis.bundle
    assert bundle is not None
    lead = (
        f"{bundle.card.name} {bundle.card.version} ({bundle.part.architecture}) evaluated in "
        f"{counted(len(found.labels), 'participant')} of {analysis.data_set} outside its training "
        f"set, with all trials.{seen_on_page(analysis.why_not(seen))} "
        f"{_baselines_in_words(len(seen))} {_CAUTION}"
    )
    return _facts(analysis, found, lead, _flags(analysis, found))


def _page_of_folds(
    analysis: TwinAnalysis,
    plan: FoldPlan,
    found: Evaluation,
    of_folds: ResultTable,
    flags: Sequence[Flag],
) -> AnalysisPageFacts:
    lead = (
        f"Twins ({plan.architecture}) by {plan.words} of {analysis.data_set}: each fold's people "
        "are judged once, with all trials, by twins and baselines that were fitted to the others. "
        f"{_CAUTION}"
    )
    facts = _facts(analysis, found, lead, [*flags, *_flags(analysis, found)])
    section = PageSection(
        title="Folds",
        text=(
            f"One fit a fold, of seed {analysis.settings.modelling.seed}, which draws the folds, "
            "too; --seed gives others. r over people is of figures less the mean of their fold. "
            "Everybody also trains the others' twins: intervals and p of differences count these "
            "as varying \N{SQUARE ROOT}2 times as much as they do.",
        ),
        tables=(of_folds.on_page("Fits, a row a fold"),),
    )
    return dataclasses.replace(facts, sections=(*facts.sections, section))


def _facts(
    analysis: TwinAnalysis, found: Evaluation, lead: str, flags: Sequence[Flag]
) -> AnalysisPageFacts:
    return AnalysisPageFacts(
        title=analysis.results.title,
        index=f"../../{INDEX}",
        lead=lead,
        flags=flags,
        sections=(
            *_winner_sections(found),
            *_figure_sections(found),
            _trial_section(found),
            _curve_section(found),
            *_match_sections(found),
        ),
    )


def _baselines_in_words(seen: int) -> str:
    """Describe the people that baselines were fitted to."""
    if seen < _FEWEST_TRAINING:
        return (
            "There are no baselines: the files have too few of the model's training participants. "
            "Add their files."
        )
    return f"Baselines are fitted to {counted(seen, 'participant')} of the training set."


def _flags(analysis: TwinAnalysis, found: Evaluation) -> tuple[Flag, ...]:
    card = analysis.bundle.card if analysis.bundle else None
    flags = [Flag("warning", sentence) for sentence in found.shortfalls]
    if card is not None and not card.for_science:
        flags.append(Flag("problem", card.notice or "a model of simulated people: not for science"))
    return tuple(flags)


def _winner_sections(found: Evaluation) -> Iterator[PageSection]:
    if sentences := winner_sentences(found):
        yield PageSection(
            title="Which prediction is best",
            text=(
                f"Verdicts are on the twin: {RULE}.",
                *sentences,
            ),
        )


def _figure_sections(found: Evaluation) -> Iterator[PageSection]:
    words = {
        "rt": ("Response times", "A person's mean response time; for a twin, the mean of the "
               "distributions that it predicts for the person's trials."),
        "effect": ("Condition effects", "A person's mean response time in the second condition "
                   "less the first. Effects of single people are measured with low reliability."),
    }  # fmt: skip
    for figure, (title, text) in words.items():
        tasks = [task for task in _judged(found) if f"{task}_{figure}" in found.targets]
        if tasks:
            yield PageSection(
                title=title,
                text=(
                    text,
                    "A prediction that is the same for everybody has no r.",
                    _ceiling_words(found, tasks, figure),
                ),
                tables=tuple(_over_people(found, figure, task) for task in tasks),
                scatters=tuple(_scatter(found, figure, task) for task in tasks),
            )


def _judged(found: Evaluation) -> Iterator[str]:
    """Yield the tasks in which somebody has responses."""
    for task in found.conditions:
        if np.isfinite(found.observed[:, found.targets.index(f"{task}_rt")]).any():
            yield task


def _over_people(found: Evaluation, figure: str, task: str) -> Table:
    scores = [s for s in found.scores if (s.figure, s.task) == (figure, task)]
    ceiling = found.ceilings[f"{task}_{figure}"]
    rows: list[Row] = [
        *({**score_row(score, found), "model": _words(score.name)} for score in scores),
        {"model": _CEILING, "value": ceiling.r, "people": ceiling.people},
    ]
    return ResultTable(_SCORES, rows).on_page(
        f"{FIGURES[figure].words}: {task}",
        ("model", "value", "error", "people", "verdict"),
        headings={"value": "r, 95 % interval over people"},
        highlight=[*(_words(score.name) for score in scores if score.name != TWIN), _CEILING],
        model=_words(TWIN),
        better=[(_words(score.name), "value") for score in scores if _is_worse(score)],
    )


def _ceiling_words(found: Evaluation, tasks: Sequence[str], name: str) -> str:
    """Say how large r can be, and what it means where that is little."""
    known = {
        task: found.ceilings[f"{task}_{name}"]
        for task in tasks
        if np.isfinite(found.ceilings[f"{task}_{name}"].r.mean)
    }
    if not known:
        return "The noise ceiling of r is not known: too few people have trials in both halves."
    listed = ", ".join(
        f"{task} {written(own.r.mean, 2)} ({written(own.r.low, 2)} to {written(own.r.high, 2)})"
        for task, own in known.items()
    )
    low = [task for task, own in known.items() if own.is_low]
    why = (
        f" It is low in {' and '.join(low)}: half of the differences between people, or more, are "
        "noise of their trials, which nothing predicts."
        if low
        else ""
    )
    return (
        "Noise ceiling of r, the square root of the reliability by odd and even trials: "
        f"{listed}.{why}"
    )


def _is_worse(score: Score) -> bool:
    """Return whether the twin is worse than the score's model."""
    return score.verdict is not None and score.verdict.word == WORSE


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(interval: Interval | None) -> tuple[float, float, float] | None:
    return None if interval is None else (interval.mean, interval.low, interval.high)


def _scatter(found: Evaluation, figure: str, task: str) -> Scatter:
    column = found.targets.index(f"{task}_{figure}")
    points = [found.observed[:, column], found.predicted[TWIN][:, column]]
    return Scatter(
        f"Each person: {task}",
        "observed (s)",
        "predicted by the twin (s)",
        np.column_stack(points),
        identity=True,
    )


def _trial_section(found: Evaluation) -> PageSection:
    return PageSection(
        title="Choices and distributions",
        text=(
            "choice: share of trials with the person's button, where misses count against every "
            "model. crps: how far the predicted distribution of response times is from the "
            "observed times, in seconds. brier: how far the predicted shares of correct, wrong and "
            "missed trials are from the observed outcomes. Lower is better, except for choice.",
        ),
        tables=tuple(_trial_table(found, task) for task in _judged(found)),
        scatters=tuple(_quantiles(found, task) for task in _judged(found)),
    )


def _trial_table(found: Evaluation, task: str) -> Table:
    figures = ("choice", "crps", "brier")
    scores = [s for s in found.scores if s.figure in figures and s.task == task]
    keys = list(dict.fromkeys((s.figure, s.condition) for s in scores))
    names = list(dict.fromkeys(score.name for score in scores))
    cells = {(s.figure, s.condition, s.name): _shown(s.value) for s in scores}
    headings = {key: " ".join(part for part in key if part) for key in keys}
    return Table(
        f"Mean over people, 95 % interval: {task}",
        ("prediction", *headings.values()),
        [(_words(n), *(cells.get((*key, n)) for key in keys)) for n in names],
        highlight=[_words(name) for name in names if name != TWIN],
        model=_words(TWIN),
        better=[(_words(s.name), headings[s.figure, s.condition]) for s in scores if _is_worse(s)],
    )


def _quantiles(found: Evaluation, task: str) -> Scatter:
    rows = [row for row in quantile_rows(found) if row["task"] == task]
    return Scatter(
        f"Quantiles 0.1, 0.3, 0.5, 0.7, 0.9 of response times: {task}",
        "observed (s)",
        "predicted (s)",
        np.array([(row["observed_seconds"], row["predicted_seconds"]) for row in rows]),
        groups=[row["condition"] for row in rows],
        identity=True,
    )


def _curve_section(found: Evaluation) -> PageSection:
    own = found.curves[PEOPLE]
    return PageSection(
        title="Real and simulated trials",
        text=(
            "Means over people of all their scored trials of a condition. Response times: share of "
            "trials answered per second; misses are left out. Time series: share of trials "
            "answered by each time, one line for the correct button and one for the others, which "
            "are pressed less often; the remaining share at the end is missed. Twins that resemble "
            "people on average need not predict differences between people.",
        ),
        lines=(
            *(_distributions(found, place, mean) for place, mean in enumerate(own)),
            *(_time_series(found, place, mean) for place, mean in enumerate(own)),
        ),
    )


def _distributions(found: Evaluation, place: int, mean: MeanTrial) -> Lines:
    series = {
        _NAMES[name]: per_second(curves[place].seconds, curves[place].answered)
        for name, curves in found.curves.items()
    }
    caption = f"Response times: {_where(found, mean)}"
    return Lines(caption, _FROM_ONSET, "share of trials per second", series)


def _time_series(found: Evaluation, place: int, mean: MeanTrial) -> Lines:
    series = {_NAMES[name]: _buttons(curves[place]) for name, curves in found.curves.items()}
    caption = f"Mean time series: {_where(found, mean)}"
    return Lines(caption, _FROM_ONSET, "share of trials", series, y_reach=(0.0, 1.0))


def _buttons(mean: MeanTrial) -> tuple[Values, Values]:
    """Return two lines of one style: other buttons, and after a gap the correct button."""
    gap = np.full(1, np.nan)
    seconds = np.concatenate([mean.seconds, gap, mean.seconds])
    return seconds, np.concatenate([mean.answered - mean.correct, gap, mean.correct])


def _where(found: Evaluation, mean: MeanTrial) -> str:
    task = tuple(found.conditions)[mean.task]
    return f"{task}, {found.conditions[task][mean.condition]} ({counted(mean.trials, 'trial')})"


def _difference(found: Verdict | None) -> tuple[float, float, float] | None:
    """Return a difference of losses with its interval, without digits that are rounding."""
    if found is None:
        return None
    mean, low, high = (
        round(value, _LOSS_DIGITS) + 0.0 for value in vars(found.difference).values()
    )
    return mean, low, high


def _loss_matrix(losses: Values) -> Matrices:
    """Return the losses as a heat map; differences that are of no use are pale."""
    away = losses - np.nanmean(losses, axis=0)
    most = max(float(np.nanmax(np.abs(away))), _LEAST_LOSS_SHARE * float(np.nanmean(losses)))
    return Matrices(
        "Loss of each twin (rows) on each person's responses (columns), less the mean of the "
        "person; below 0 the twin fits the person better than the others do. By folds, other "
        "people are those of the same fold. Colours end at "
        f"{_LEAST_LOSS_SHARE:.0%} of the mean loss or beyond".replace("%", " %"),
        {"loss": away},
        (-nice(most), nice(most)),
    )


def _match_sections(found: Evaluation) -> Iterator[PageSection]:
    comparison, group = found.comparison, GROUP.replace("_", " ")
    if comparison is None:
        return
    (row,) = matching_rows(found)
    yield PageSection(
        title="Own connectome or somebody else's",
        text=(
            "Each twin is scored on each person's responses by the cross-entropy of its button "
            "time series. The twin of a person's own connectome should have the lowest loss, lower "
            f"also than the network of the group. Verdicts: {RULE}.",
        ),
        tables=(
            Table(
                "Losses of twins",
                ("figure", "value"),
                [
                    ("people", row["people"]),
                    ("own twin, mean loss", row["matched"]),
                    ("other people's twins, mean loss", row["mismatched"]),
                    ("p, of 2,000 permutations", row["p"]),
                    ("other people's twins less own", _difference(comparison.own)),
                    ("own, compared with other people's", comparison.own.word),
                    (
                        "share better than the average of others",
                        interval_of(row["better_than_average"]),
                    ),
                    ("share identified", interval_of(row["identified"])),
                    (f"loss of the {group} less own", _difference(comparison.group)),
                    (f"own, compared with the {group}", _word(comparison.group)),
                ],
            ),
        ),
        matrices=(_loss_matrix(found.losses),),
    )
