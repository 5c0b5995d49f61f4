"""Phenotypes predicted from connectomes, maps and regions, each compared with the connectome."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.features import (
    FeatureSource,
    FeatureTable,
    RegionFeatures,
    find_features,
    print_plan,
    report_failed,
)
from bids_dtg.cohort.people import GroupPeople, gather_people
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.temporary import temporary_folder
from bids_dtg.notices import counted, named, say
from bids_dtg.report.glass_brain import draw_glass_brain
from bids_dtg.settings import Settings, StatisticsOptions
from bids_dtg.statistics.asked import camel_case, phenotypes_asked
from bids_dtg.statistics.phenotypes.page import (
    ALL,
    EDGES,
    Difference,
    FitScores,
    PhenotypeResults,
    Prediction,
    Weights,
    answer,
    judged_together,
    phenotypes_page,
)
from bids_dtg.statistics.region_picture import RegionPictures
from bids_dtg.stats.cohort.exchangeability import permutations
from bids_dtg.stats.prediction.folds import Folds, repeated_folds, site_folds
from bids_dtg.stats.prediction.intervals import corrected_p, score_interval
from bids_dtg.stats.prediction.phenotypes import SCORES, Outcome, Target, score_baseline
from bids_dtg.stats.prediction.question import Question
from bids_dtg.stats.prediction.ridge import Features
from bids_dtg.stats.prediction.weights import haufe_weights
from bids_dtg.stats.verdict import RULE, corrected
from bids_dtg.workflows import FeatureKind

_FEWEST = 4  # families: with fewer there are no folds
_WEIGHTS_FROM_P = 0.05
_THREADS_FROM = 1500  # people
_WRITES = ("desc-phenotypes_scores", "desc-phenotypes_differences", "*desc-*_weights", "*_statmap")
_WEIGHTS = (
    Column("name", "Feature"),
    Column("weight", "Change of the feature per unit of the phenotype"),
)
# Fields of `Prediction` by comparison, and the words of a row in the table of differences.
_COMPARISONS = {
    "over": "minus edges, penalties chosen in the folds",
    "over_equal": "minus edges, equal degrees of freedom",
    "added": "edges and these together, minus edges",
}
_CONTRAST = Column(
    "contrast", "Contrast of the maps; all: the regions of all contrasts side by side"
)
_PHENOTYPE = Column("phenotype", "Column of the table of participants")
_Q = Column(
    "q", "The same corrected for the contrasts of the same features (Benjamini and Hochberg)"
)
_SCORES = (
    _PHENOTYPE,
    Column(
        "features",
        "Features that it was predicted from: a value of --feature-sets; "
        "otherwise a baseline without features",
    ),
    _CONTRAST,
    Column("penalty", "nested: chosen inside of each fold; published: features / training people"),
    Column("people", "Participants"),
    Column(
        "effective_people",
        "Participants in two equal levels that would say as much, 4 / (1 / first + 1 / second); "
        "of a phenotype of numbers all",
    ),
    Column("families", "Number of their families"),
    Column("columns", "Number of features"),
    *(Column(name, kind.words) for name, kind in SCORES.items()),
    Column("low", "Lower end of the 95 % interval of r, or of auc where that is the score"),
    Column("high", "Upper end of that interval"),
    Column(
        "within_folds",
        "Mean of that score computed within folds: with --leave-site-out, within sites",
    ),
    Column("sd_repeats", "Standard deviation of that score over repeats of the cross-validation"),
    Column("p", "Share of permutations of participants that score as well"),
    _Q,
    Column("permuted", "Mean of that score over permutations"),
    Column(
        "effective_dof",
        "Effective dof of the fits, without intercept and covariates: mean over folds",
    ),
)
_DIFFERENCES = (
    _PHENOTYPE,
    Column("features", "Features that are compared with the edges of the connectome"),
    _CONTRAST,
    Column("comparison", "Kind of comparison"),
    Column("score", "Name of the score"),
    Column("difference", "Difference of the score, mean over repeats"),
    Column(
        "low",
        "Lower end of its 95 % interval, by drawing participants again (BCa), the square root of "
        "2 wider as they are also who was trained on",
    ),
    Column("high", "Upper end of that interval"),
    Column("p", "Two-sided p by sign flips of participants' shares in the difference (jackknife)"),
    _Q,
    Column("verdict", f"Verdict on the features compared with the edges: {RULE}; here p is q"),
)


def run_phenotypes(settings: Settings) -> int:
    """Predict phenotypes; return how many participants were left out as they cannot be read.

    Raises
    ------
    DatasetError, SettingsError
        There are no features, no phenotype, or too few people.
    """
    people = gather_people(settings).complete(settings.statistics.covariates)
    names = phenotypes_asked(people)
    sources = find_features(people, tuple(people.feature_kinds))
    people = _with_edges(people, sources)
    if settings.behaviour.dry_run:
        would = f"would predict {named(names)} of {counted(len(people), 'participant')}"
        return print_plan(sources, [would])
    results = ResultFolder.of(settings, people.output, *_WRITES)
    with results.begun(), temporary_folder() as folder:
        study = _Study(people, folder, results, names)
        for number, source in enumerate(sources):
            study.add(source, number / len(sources), 1 / len(sources))
        study.write()
    return len(study.failed)


def _with_edges(people: GroupPeople, sources: Sequence[FeatureSource]) -> GroupPeople:
    """Leave out people without edges if others have them: maps are compared with edges."""
    edges = next((source for source in sources if source.kind.name == EDGES), None)
    lacking = [] if edges is None else [label for label in people.labels if label not in edges.has]
    if lacking:
        say(
            f"left out: {counted(len(lacking), 'participant')} without edges of the connectome, "
            f"which maps are compared with ({named([f'sub-{label}' for label in lacking])})"
        )
    return people.of([label for label in people.labels if label not in lacking])


@dataclass(frozen=True, eq=False)
class _Asked:
    """A phenotype of a set of people."""

    name: str
    people: GroupPeople
    question: Question
    words: tuple[str, ...]  # sentences on permutations

    @property
    def families(self) -> int:
        """Number of their families."""
        return len(np.unique(self.question.folds.families))


class _Study:
    """All predictions of a call."""

    def __init__(
        self, people: GroupPeople, folder: Path, results: ResultFolder, names: Sequence[str]
    ) -> None:
        self._people, self._folder, self._results = people, folder, results
        self._edges: tuple[tuple[str, ...], Features] | None = None  # labels and values
        self._asked: dict[tuple[str, tuple[str, ...]], _Asked | None] = {}
        self._found: dict[str, list[Prediction]] = {name: [] for name in names}
        self.failed: dict[str, str] = {}  # participants who could not be read, and why
        asked = people.settings.statistics.covariates
        self._covariates = people.covariates(asked).values if asked else None

    @property
    def _options(self) -> StatisticsOptions:
        return self._people.settings.statistics

    def add(self, source: FeatureSource, done: float, share: float) -> None:
        """Predict all phenotypes from a source, contrast by contrast."""
        people = self._people.of(source.has)
        for position, table in enumerate(self._tables(source, people)):
            say(f"{done + share * position / (len(source.contrasts) + 1):4.0%} {table.title}")
            self.failed |= report_failed(table, self.failed)
            contrast = ALL if not table.contrast and source.contrasts != ("",) else table.contrast
            self._add_table(table, contrast)

    def _tables(self, source: FeatureSource, people: GroupPeople) -> Iterator[FeatureTable]:
        """Yield a table for each contrast; for regions also all contrasts together, read once."""
        if isinstance(source, RegionFeatures) and len(source.contrasts) > 1:
            whole = source.together(people, self._folder)
            yield whole
            yield from source.parts(whole)
        else:
            yield from source.tables(people, self._folder)

    def _add_table(self, table: FeatureTable, contrast: str) -> None:
        features = Features.of(table.values)
        if table.kind.name == EDGES:
            self._edges = (table.labels, features)
        for name in self._found:
            known = set(self._people.column(name).texts)
            if self._edges is not None:
                known &= set(self._edges[0])
            rows = np.array([n for n, label in enumerate(table.labels) if label in known], np.intp)
            asked = self._ask_once(name, tuple(table.labels[n] for n in rows))
            if asked is not None:
                everybody = len(rows) == len(table.labels)
                own = features if everybody else features.of_people(rows)
                prediction = predict_from(own, table.kind, contrast, asked.question)
                if prediction.nested.p <= _WEIGHTS_FROM_P or self._is_named(table):
                    values = table.values if everybody else table.values[rows]
                    weights = self._write_weights(asked, own, values, table, prediction)
                    prediction = dataclasses.replace(prediction, weights=weights)
                self._found[name].append(prediction)

    def _is_named(self, table: FeatureTable) -> bool:
        named_contrasts = self._people.settings.modelling.contrast
        return bool(table.contrast) and bool(named_contrasts)  # `all` is not tested then

    def _ask_once(self, name: str, labels: tuple[str, ...]) -> _Asked | None:
        """Return a phenotype of people; None, and one report, if it cannot be predicted."""
        key = (name, labels)
        if key not in self._asked:
            try:
                self._asked[key] = self._ask(name, self._people.of(labels))
            except ValueError as err:
                say(f"{name} is not predicted: {err}")
                self._asked[key] = None
        return self._asked[key]

    def _ask(self, name: str, people: GroupPeople) -> _Asked:
        options, seed = self._options, people.settings.modelling.seed
        target, orders = _target(people, name), None
        words: tuple[str, ...] = ()
        folds = _folds(people, target, options, seed)
        _require_learnable(target, folds)
        if options.map_permutations:
            drawn = permutations(
                options.map_permutations,
                people.families,
                sites=people.sites,
                within_families=options.within_families,
                seed=seed,
            )
            # If only the identity permutation is possible, p is meaningless.
            orders, words = (drawn.orders if drawn.possible > 1 else None), drawn.words
            if trouble := drawn.trouble_with(name, target.values):
                say(f"warning: {trouble}")
                words = (*words, trouble)
        edges = self._edges_of(people.labels)
        question = Question(target, folds, self._covariates_of(people), orders, seed, edges)
        return _Asked(name, people, question, words)

    def _covariates_of(self, people: GroupPeople) -> NDArray[np.float64] | None:
        """Return everybody's covariates as rows; some may be constant in these people."""
        if self._covariates is None:
            return None
        return self._covariates[[label in people.averages for label in self._people.labels]]

    def _edges_of(self, labels: Sequence[str]) -> Features | None:
        if self._edges is None:
            return None
        if tuple(labels) == self._edges[0]:
            return self._edges[1]  # a kernel of 10,000 people is 800 MB: it is not copied
        rows = {label: row for row, label in enumerate(self._edges[0])}
        return self._edges[1].of_people(np.array([rows[label] for label in labels]))

    def _write_weights(
        self,
        asked: _Asked,
        features: Features,
        values: NDArray[np.float32],
        table: FeatureTable,
        prediction: Prediction,
    ) -> Weights:
        question = asked.question
        pattern = haufe_weights(
            values,
            features,
            question.target,
            families=question.folds.families,
            confounds=question.confounds,
            seed=question.seed,
        )
        label = camel_case(f"{asked.name} {table.kind.name}")
        what = (
            f"Haufe-transformed weights of the prediction of {asked.name} from "
            f"{prediction.words}: how the features change with the fitted phenotype, in all "
            f"{features.people} participants"
        )
        if table.places is not None:
            entities = {"contrast": table.contrast, "stat": "haufe", "desc": label}
            p = prediction.nested.p
            facts = {
                "PValue": None if np.isnan(p) else p,
                "Scores": dict(prediction.nested.scores),
            }
            self._results.map(entities, pattern, table.places, what, **facts)
            return Weights(pattern, (), table.places, "")
        contrast = f"contrast-{table.contrast}_" if table.contrast else ""
        rows = [
            {"name": name, "weight": weight}
            for name, weight in zip(table.names, pattern, strict=True)
        ]
        self._results.table(f"{contrast}desc-{label}_weights", ResultTable(_WEIGHTS, rows, what))
        return Weights(pattern, table.names, None, table.atlas)

    def write(self) -> None:
        """Write the tables and the page.

        Raises
        ------
        DatasetError
            No phenotype could be predicted.
        """
        found = {name: corrected_for_contrasts(own) for name, own in self._found.items() if own}
        if not found:
            raise DatasetError(
                f"none of {named(list(self._found))} can be predicted",
                expected=f"{_FEWEST} families or more with values that differ",
            )
        results = judged_together([self._results_of(name, own) for name, own in found.items()])
        regions = RegionPictures(self._people)
        results = [
            dataclasses.replace(own, pictures=dict(_pictures(own, regions))) for own in results
        ]
        self._write_tables(results)
        for phenotype in results:
            say(answer(phenotype))
        page = phenotypes_page(
            results,
            lead=self._lead(),
            flags=[*self._people.flags, *self._people.flag_on_sites()],
            index="../../index.html",
        )
        self._results.page(page)

    def _write_tables(self, results: Sequence[PhenotypeResults]) -> None:
        rows = [row for phenotype in results for row in _score_rows(phenotype)]
        words = "Accuracy of predicted phenotypes in held-out people"
        self._results.table("desc-phenotypes_scores", ResultTable(_SCORES, rows, words))
        rows = [row for phenotype in results for row in _difference_rows(phenotype)]
        words = "Difference of the scores from those of the edges of the connectome alone"
        self._results.table("desc-phenotypes_differences", ResultTable(_DIFFERENCES, rows, words))

    def _results_of(self, name: str, found: Sequence[Prediction]) -> PhenotypeResults:
        # If features have different people, the set with most people speaks for all.
        asked = max(
            (asked for (own, _), asked in self._asked.items() if own == name and asked is not None),
            key=lambda asked: len(asked.people),
        )
        target = asked.question.target
        return PhenotypeResults(
            name=name,
            levels=target.levels,
            people=len(asked.people),
            effective_people=target.effective_people,
            score=target.headline,
            score_words={key: SCORES[key].words for key in target.score_names},
            baselines=self._baselines(asked.question),
            predictions=tuple(found),
            notes=tuple(self._notes(asked)),
        )

    def _baselines(self, question: Question) -> dict[str, Mapping[str, float]]:
        found = {"mean of training people": score_baseline(question.target, question.folds)}
        if question.confounds is not None:
            alone = score_baseline(question.target, question.folds, question.confounds)
            found[f"covariates alone ({', '.join(self._options.covariates)})"] = alone
        return found

    def _notes(self, asked: _Asked) -> Iterator[str]:
        target, folds = asked.question.target, asked.question.folds
        related = f" of {asked.families} families" if self._people.related.by_label else ""
        lacking = len(self._people) - len(asked.people)
        without = f"; {lacking} without a value or without features" if lacking else ""
        levels = ""
        if target.levels:
            second = int((target.values > 0).sum())
            numbers = len(asked.people) - second, second
            pairs = zip(numbers, target.levels, strict=True)
            equal = f" (say as much as {target.effective_people:.0f} in equal levels)"
            levels = f": {', '.join(f'{number} {level}' for number, level in pairs)}{equal}"
        yield f"{counted(len(asked.people), 'participant')}{related}{levels}{without}."
        how = (
            f"Each of {counted(folds.count, 'site')} was left out in turn"
            if self._options.leave_site_out
            else f"{folds.count}-fold cross-validation, {counted(folds.repeats, 'time')}, with "
            "sites and levels in proportion"
        )
        moved = f"; {folds.moved} were tested with their family's site" if folds.moved else ""
        yield (
            f"{how}{moved}. Families were never on both sides; means, scales, penalties and "
            "regressions of covariates are those of each fold's training people."
        )
        if self._options.leave_site_out:
            yield (
                "Scores over everybody also include the prediction of sites' means, which "
                "a few sites decide by chance; the table's within_folds are those within sites."
            )
        if asked.words:
            yield f"{self._options.map_permutations} permutations. {' '.join(asked.words)}"

    def _lead(self) -> str:
        names = ", ".join(self._options.covariates)
        covariates = f" Covariates: {names}." if names else " No covariates."
        return (
            "Ridge regression (of two levels: ridge classifier) in "
            f"{counted(len(self._people), 'participant')}. The penalty is chosen inside of each "
            "fold; the published one, features / training people, is given for comparison."
            f"{covariates} Seed {self._people.settings.modelling.seed}."
        )


def predict_from(
    features: Features, kind: FeatureKind, contrast: str, question: Question
) -> Prediction:
    """Predict a phenotype from features of a contrast, and compare them with the edges.

    Parameters
    ----------
    features, kind
        Values (people, columns) of the question's people, and what they are.
    contrast
        Label of the contrast; empty: none; `ALL`: all contrasts together.
    question
        The phenotype of these people; its baseline are the edges.

    Returns
    -------
    Prediction
        With p of single tests: `corrected_for_contrasts` finds q, and `judged_together` what holds.
    """
    target, families = question.target, len(np.unique(question.folds.families))
    with _threads(features.people):
        published, nested = question.predict(features)
        beside = {} if kind.name == EDGES else question.beside_baseline(features, nested)
    score = target.headline
    compared = {key: Difference(score, found.p, found) for key, found in beside.items()}
    return Prediction(
        features=kind.name,
        words=kind.words + (" of all contrasts together" if contrast == ALL else ""),
        contrast=contrast,
        people=features.people,
        effective_people=target.effective_people,
        families=families,
        columns=features.columns,
        nested=_fit_scores(nested, target),
        published=_fit_scores(published, target),
        interval=score_interval(target, nested.mean(score), families),
        points=question.points(nested),
        over=compared.get("over"),
        over_equal=compared.get("over_equal"),
        added=compared.get("added"),
    )


def _threads(people: int) -> AbstractContextManager[object]:
    """Limit the algebra of few people to one thread: threads would slow many small systems."""
    return nullcontext() if people >= _THREADS_FROM else one_blas_thread()


def _fit_scores(outcome: Outcome, target: Target) -> FitScores:
    score = target.headline
    null = outcome.null[score]
    return FitScores(
        scores={name: outcome.mean(name) for name in target.score_names},
        sd=float(outcome.by_repeat[score].std(ddof=1)) if len(outcome.predicted) > 1 else np.nan,
        within_folds=_mean_of_known(outcome.by_fold[score]),
        p=outcome.p(score),
        q=float("nan"),
        chance=float(null.mean()) if len(null) else float("nan"),
        effective_dof=float(outcome.effective_dof.mean()),
    )


def _mean_of_known(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _target(people: GroupPeople, name: str) -> Target:
    column = people.column(name)
    if len(column.levels) == 2:
        texts = [column.texts[label] for label in people.labels]
        rare = min(column.levels, key=texts.count)
        if texts.count(rare) < 2:
            raise ValueError(f"one participant alone has {rare}")
        return Target.two_levels(texts)
    if not column.is_number:
        raise ValueError(f"it has {counted(len(column.levels), 'level')} of words, and not two")
    return Target.numbers(np.array([column.numbers[label] for label in people.labels]))


def _folds(people: GroupPeople, target: Target, options: StatisticsOptions, seed: int) -> Folds:
    if options.leave_site_out:
        if people.sites is None:
            raise SettingsError(
                "--leave-site-out: no two sites are known",
                expected="a column site in the table of participants",
            )
        return site_folds(people.families, people.sites)
    families = len(np.unique(people.families))
    if families < _FEWEST:
        raise ValueError(f"too few unrelated participants for folds: {families}")
    return repeated_folds(
        people.families,
        folds=min(options.cross_validated, families),
        repeats=options.repeats,
        seed=seed,
        sites=people.sites,
        levels=(target.values > 0).astype(np.intp) if target.levels else None,
    )


def _require_learnable(target: Target, folds: Folds) -> None:
    """Raise ValueError if a fold leaves nobody to learn from."""
    for _, _, train, _ in folds.splits():
        if len(np.unique(folds.families[train])) < 2:
            raise ValueError("all people outside a fold are of one family")
        if not np.ptp(target.values[train]):
            raise ValueError("all people outside a fold have one value")


def corrected_for_contrasts(found: Sequence[Prediction]) -> list[Prediction]:
    """Correct p of a phenotype's predictions over the contrasts of the same features.

    Parameters
    ----------
    found
        Predictions of one phenotype, as `predict_from` returns them.
    """
    own = list(found)
    for words in dict.fromkeys(prediction.words for prediction in found):
        places = [n for n, prediction in enumerate(own) if prediction.words == words]
        for key in ("nested", "published"):
            parts = {n: getattr(own[n], key) for n in places}
            q_values = corrected_p([part.p for part in parts.values()])
            for (n, part), q in zip(parts.items(), q_values, strict=True):
                own[n] = dataclasses.replace(own[n], **{key: dataclasses.replace(part, q=q)})
        for key in _COMPARISONS:
            parts = {n: part for n in places if (part := getattr(own[n], key)) is not None}
            verdicts = corrected([part.verdict for part in parts.values()])
            for (n, part), verdict in zip(parts.items(), verdicts, strict=True):
                part = dataclasses.replace(part, verdict=verdict)
                own[n] = dataclasses.replace(own[n], **{key: part})
    return own


def _pictures(results: PhenotypeResults, regions: RegionPictures) -> Iterator[tuple[str, bytes]]:
    """Draw weights of the best prediction of each set of features that is beyond chance."""
    for found in results.kinds.values():
        sure = [own for own in found if own.holds and own.weights is not None]
        best = max(sure, key=results.score_of, default=None)
        if best is None or best.weights is None:
            continue
        weights, drawn = best.weights, None
        if weights.places is not None:
            drawn = draw_glass_brain(weights.values, weights.places, title=best.name)
        elif weights.atlas:
            values = dict(zip(weights.names, map(float, weights.values), strict=True))
            drawn = regions.draw(weights.atlas, values, title=best.name, units="")
        if drawn is not None:
            yield best.name, drawn


def _score_rows(results: PhenotypeResults) -> Iterator[dict[str, object]]:
    for words, scores in results.baselines.items():
        yield {"phenotype": results.name, "features": words, **scores}
    for found in results.predictions:
        for penalty, fit in (("nested", found.nested), ("published", found.published)):
            yield {
                "phenotype": results.name,
                "features": found.features,
                "contrast": found.contrast or None,
                "penalty": penalty,
                "people": found.people,
                "effective_people": found.effective_people,
                "families": found.families,
                "columns": found.columns,
                **fit.scores,
                **(
                    {"low": found.interval.low, "high": found.interval.high}
                    if fit is found.nested
                    else {}
                ),
                "within_folds": fit.within_folds,
                "sd_repeats": fit.sd,
                "p": fit.p,
                "q": fit.q,
                "permuted": fit.chance,
                "effective_dof": fit.effective_dof,
            }


def _difference_rows(results: PhenotypeResults) -> Iterator[dict[str, object]]:
    for found in results.predictions:
        for key, words in _COMPARISONS.items():
            part: Difference | None = getattr(found, key)
            if part is not None:
                yield {
                    "phenotype": results.name,
                    "features": found.features,
                    "contrast": found.contrast or None,
                    "comparison": words,
                    "score": part.score,
                    "difference": part.verdict.difference.mean,
                    "low": part.verdict.difference.low,
                    "high": part.verdict.difference.high,
                    "p": part.p,
                    "q": part.verdict.p,
                    "verdict": part.verdict.word,
                }
