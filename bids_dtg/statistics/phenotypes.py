"""``group --analysis phenotypes``: phenotypes predicted from maps, edges and measured maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np

from bids_dtg.array_types import Float64, Integers
from bids_dtg.cohort.features import (
    ALL_CONTRASTS,
    FeatureSource,
    find_features,
    note_incomplete,
    print_plan,
)
from bids_dtg.cohort.group_participants import GroupParticipants
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.columns import Column
from bids_dtg.files.paths import temporary_folder
from bids_dtg.notices import counted, named, say
from bids_dtg.report import figures
from bids_dtg.report.page import Page, Section, sentences
from bids_dtg.settings import Settings
from bids_dtg.statistics.options import PhenotypeOptions
from bids_dtg.statistics.variables import (
    covariates_of,
    gather_with_covariates,
    phenotype_names,
    values_of,
)
from bids_dtg.stats.paired import Interval
from bids_dtg.stats.permutation import FEWEST_ORDERS, different_orders, permuted_orders
from bids_dtg.stats.prediction import (
    PeopleProducts,
    Prediction,
    Target,
    chance,
    common_products,
    family_folds,
    interval,
    judge,
    predict,
    products,
    rotated,
    scores_from_products,
    site_folds,
)
from bids_dtg.stats.verdict import FEWEST, RULE, Verdict, corrected, too_few
from bids_dtg.workflows import FeatureKind

Row = dict[str, object]

ALPHA = 0.05
_MOST_TOGETHER = 3000  # people; with more, products of all contrasts are too large
# On the page.
_MOST_SETS = 12
_MOST_PHENOTYPES = 5
_MOST_ANSWERS = 3
_FEWEST_OF_SITE = 3
_COMPARED = ("phenotype", "features", "contrast")  # columns that name what is compared
_WRITES = ("desc-phenotypes_scores", "desc-phenotypes_differences")
_INTERVAL = f"95 % interval, by Fisher's z over families; n/a with fewer than {FEWEST}"
_PHENOTYPE = Column("phenotype", "Column of the table of participants")
_CONTRAST = Column(
    "contrast", f"Contrast of the maps; {ALL_CONTRASTS}: all contrasts together"
)
_SCORES = (
    _PHENOTYPE,
    Column("features", "Features that it was predicted from"),
    _CONTRAST,
    Column(
        "left_out",
        "Left out in turn: families, in folds; or sites, with r within each site",
    ),
    Column("people", "Participants"),
    Column("families", "Number of their families"),
    Column(
        "r",
        "Pearson correlation over participants of the predicted and the measured phenotype, after "
        "regressing out covariates with coefficients of the training participants",
        interval=_INTERVAL,
    ),
    Column(
        "r2",
        "1 minus the share of squared error; below 0: worse than the covariates",
        "R²",
    ),
    Column(
        "auc",
        "For two levels: probability that a participant of the second level has the larger "
        "prediction",
        "AUC",
        interval=_INTERVAL,
    ),
    Column(
        "balanced_accuracy",
        "For two levels: mean over levels of the share classified correctly",
    ),
    Column("p", "Share of permutations with an r as large"),
    Column(
        "p_fwe",
        "Share of permutations in which the largest r over all rows of the phenotype is as large",
        heading="corrected p",
    ),
)
_DIFFERENCES = (
    _PHENOTYPE,
    Column("features", "Features whose score is compared"),
    _CONTRAST,
    Column("minus", "Features whose score is subtracted"),
    Column("score", "r, or AUC for two levels"),
    Column(
        "difference",
        "Difference of the score in the same folds",
        interval="95 % interval, by bootstrap over families (BCa), widened by \u221a2 as they also "
        "served for training",
    ),
    Column(
        "p", "Two-sided p by sign flips of families' shares in it, FDR over contrasts"
    ),
    Column("verdict", f"Verdict: {RULE}"),
)
_ON_PAGE = (
    _PHENOTYPE,
    Column("features", "What it was predicted from"),
    Column("people", "Participants"),
    Column("score", "r, or AUC for two levels", "r, or AUC", interval="95 % interval"),
    Column("p_fwe", "p corrected over all rows of the phenotype", "corrected p"),
)
_BESIDE = (
    Column(
        "minus_{}", "Score minus that from {}", "minus {}", interval="95 % interval"
    ),
    Column("verdict_{}", f"Verdict on that: {RULE}", "against {}"),
)


@dataclass(frozen=True, eq=False)
class _Phenotype:
    """A phenotype of some people, which is predicted from each set of features."""

    name: str
    target: Target
    # Folds of families, then, where sites can be left out, folds of one site each; the second
    # value is whether folds are sites.
    folds: Sequence[tuple[Integers, bool]]


@dataclass(frozen=True, eq=False)
class _FeatureSet:
    """A phenotype, predicted from a set of features."""

    kind: FeatureKind
    contrast: str  # empty: none
    labels: tuple[str, ...]
    phenotype: _Phenotype
    prediction: Prediction
    by_site: bool  # whether sites were left out, not families
    p_fwe: float = np.nan  # corrected p, which needs all sets

    @property
    def features(self) -> tuple[str, str]:
        """The kind of features and the contrast."""
        return self.kind.name, self.contrast

    @property
    def title(self) -> str:
        """Features and contrast in words."""
        title = self.kind.words
        if self.contrast:
            title += f": {self.contrast}"
        return f"{title} (sites left out)" if self.by_site else title

    @property
    def score_name(self) -> str:
        """What the score is: r, or the AUC of two levels."""
        return "r" if self.phenotype.target.second is None else "AUC"

    @cached_property
    def score(self) -> Interval:
        """The score with its interval."""
        return interval(self.prediction, self.phenotype.target)

    @property
    def row(self) -> Row:
        """The row of the table of scores."""
        prediction, target = self.prediction, self.phenotype.target
        row: Row = {
            "phenotype": self.phenotype.name,
            "features": self.kind.name,
            "contrast": self.contrast or None,
            "left_out": "sites" if self.by_site else "families",
            "people": len(self.labels),
            "families": len(np.unique(target.families)),
            "r": Interval(prediction.r),
            "r2": prediction.r2,
            "p": prediction.p,
            "p_fwe": self.p_fwe,
        }
        if target.second is None:
            return row | {"r": self.score}
        accuracy = prediction.balanced_accuracy(target.second)
        return row | {"auc": self.score, "balanced_accuracy": accuracy}


@dataclass(eq=False)
class _Study:
    """All predictions of a run."""

    people: GroupParticipants
    names: Sequence[str]
    sets: dict[str, list[_FeatureSet]] = field(default_factory=dict)  # by phenotype
    words: dict[str, list[str]] = field(default_factory=dict)  # sentences by phenotype
    _phenotypes: dict[tuple[str, ...], _Phenotype | None] = field(default_factory=dict)

    def add(
        self, kind: FeatureKind, contrast: str, labels: Sequence[str], features: Float64
    ) -> None:
        """Predict all phenotypes from a set of features (people, columns)."""
        for name in self.names:
            texts = self.people.column(name).texts
            rows = [row for row, label in enumerate(labels) if label in texts]
            with_value = tuple(labels[row] for row in rows)
            phenotype = self._phenotype(kind, name, with_value)
            if phenotype is None:
                continue
            for folds, by_site in phenotype.folds:
                try:
                    prediction = predict(
                        features[rows],
                        phenotype.target,
                        folds,
                        ridge=self.people.settings.part(PhenotypeOptions).ridge,
                        within=by_site,
                    )
                except ValueError as err:
                    words = f"not predicted from {kind.words}: {name}, as {err}"
                    self.people.note(words, contrast)
                    continue
                predicted = _FeatureSet(
                    kind, contrast, with_value, phenotype, prediction, by_site
                )
                self.sets.setdefault(name, []).append(predicted)

    def _phenotype(
        self, kind: FeatureKind, name: str, labels: tuple[str, ...]
    ) -> _Phenotype | None:
        """Return a phenotype of people; note why and return None if it cannot be predicted."""
        key = (name, *kind.covariates, "", *labels)
        if key not in self._phenotypes:
            phenotype = None
            # Such as too few people of a contrast.
            try:
                phenotype = self._prepare(kind, name, labels)
            except (ValueError, SettingsError) as err:
                number = counted(labels, "participant")
                self.people.note(f"not predicted: {name} of {number}, as {err}")
            self._phenotypes[key] = phenotype
        return self._phenotypes[key]

    def _prepare(
        self, kind: FeatureKind, name: str, labels: tuple[str, ...]
    ) -> _Phenotype:
        people = self.people.of(labels)
        options, seed = people.settings.statistics, people.settings.modelling.seed
        column = people.column(name)
        if column.is_constant:
            raise ValueError("it has the same value for everybody")
        values = values_of(column, people.labels)
        words = self.words.setdefault(name, [])

        def remark(sentence: str) -> None:
            if sentence not in words:
                words.append(sentence)

        covariates = covariates_of(people, kind, name, values, remark)
        if covariates.names:
            # The levels of a category, such as sites, are one word.
            columns = [covariate.partition(": ")[0] for covariate in covariates.names]
            remark(f"covariates: {', '.join(dict.fromkeys(columns))}")
        folds = [(family_folds(people.families, options.cross_validated, seed), False)]
        draws = options.map_permutations
        different = different_orders(values, people.families, people.sites)
        if draws and (len(people) < FEWEST or different < FEWEST_ORDERS):
            remark(
                "no permutations: too few participants, or too few ways to permute them"
            )
            draws = 0
        if people.sites is not None:
            sites = site_folds(people.families, people.sites)
            several = len(np.unique(sites)) > 1
            if several and np.bincount(sites).min() >= _FEWEST_OF_SITE:
                folds.append((sites, True))
        orders = permuted_orders(people.families, draws, sites=people.sites, seed=seed)
        target = Target(values, people.families, covariates.values, orders)
        return _Phenotype(name, target, folds)


def run_phenotypes(settings: Settings) -> int:
    """Predict phenotypes; return how many participants could not be read.

    Raises
    ------
    DatasetError, SettingsError
        There are no features, no phenotype, or too few people.
    """
    people = gather_with_covariates(settings)
    names = phenotype_names(people)
    # Features that predicted maps are compared with come first.
    sources = sorted(find_features(people), key=lambda source: source.kind.synthetic)
    people = _with_all(people, sources)
    _require_families(people, names)
    if settings.behaviour.dry_run:
        number = counted(people, "participant")
        return print_plan(sources, [f"would predict {named(names)} of {number}"])
    results = ResultFolder.of(settings, people.output, *_WRITES)
    with results.writing(), temporary_folder() as folder, one_blas_thread():
        study = _Study(people, names)
        for source in sources:
            _predict_from(study, source, folder)
        _write(results, study)
    return len(people.failed)


def _predict_from(study: _Study, source: FeatureSource, folder: Path) -> None:
    """Predict phenotypes from each contrast of a source, and from all contrasts together."""
    people, count = study.people, len(source.contrasts)
    together: PeopleProducts | None = None  # summed over contrasts
    with_any_contrast = set[str]()
    for number, table in enumerate(source.tables(people, folder), 1):
        say(f"{number} of {count}: {table.title}")
        features = rotated(table.values)
        study.add(source.kind, table.contrast, table.labels, features)
        with_any_contrast.update(table.labels)
        if count > 1 and len(people) <= _MOST_TOGETHER:
            contrast_products = table.labels, products(table.values)
            together = common_products(together, contrast_products)
    if together is None:
        return
    labels, products_of_all = together
    note_incomplete(people, source.kind, with_any_contrast, labels)
    if labels:
        study.add(
            source.kind, ALL_CONTRASTS, labels, scores_from_products(products_of_all)
        )


def _with_all(
    people: GroupParticipants, sources: Sequence[FeatureSource]
) -> GroupParticipants:
    """Return people who have features of all kinds, so that these can be compared."""
    complete, left_out = [], []
    for label in people.labels:
        if all(label in source.has for source in sources):
            complete.append(label)
        else:
            left_out.append(f"sub-{label}")
    if left_out:
        kinds = " or ".join(source.kind.words for source in sources)
        number = counted(left_out, "participant")
        people.note(f"left out: {number} without {kinds} ({named(left_out)})")
    return people.of(complete)


def _require_families(people: GroupParticipants, names: Sequence[str]) -> None:
    """Refuse more folds than families with a value of any phenotype, before maps are read.

    Raises
    ------
    SettingsError
        There are fewer families than folds.
    """
    folds = people.settings.statistics.cross_validated
    with_value = (people.of(people.column(name).texts).families for name in names)
    most = max(len(np.unique(families)) for families in with_value)
    if most < folds:
        raise SettingsError(
            f"{counted(most, 'family', 'families')} cannot be divided into {folds} folds "
            f"to predict {named(list(names))}",
            expected=f"{folds} families or more",
            remedy=f"--folds {most} or fewer" if most > 1 else "",
        )


def _write(results: ResultFolder, study: _Study) -> None:
    """Write tables and the page.

    Raises
    ------
    DatasetError
        No phenotype could be predicted.
    """
    settings = study.people.settings
    options, seed = settings.statistics, settings.modelling.seed
    if not study.sets:
        raise DatasetError(
            f"none of {named(list(study.names))} can be predicted",
            expected=f"values that differ, of {options.cross_validated} "
            "families or more",
        )
    sets = {name: _with_corrected_p(sets) for name, sets in study.sets.items()}
    differences = {name: list(_differences(sets[name], seed)) for name in sets}
    scores = [feature_set.row for feature_set in chain(*sets.values())]
    all_differences = [*chain(*differences.values())]
    results.table(
        "desc-phenotypes_scores", ResultTable(_SCORES, scores, "A set of features")
    )
    results.table(
        "desc-phenotypes_differences",
        ResultTable(_DIFFERENCES, all_differences, "Two sets of features"),
    )
    headlines = [_headline(sets[name], differences[name]) for name in sets]
    say(*headlines)
    sections = [
        _section(sets, all_differences),
        Section(
            "Methods", template="statistics/phenotypes_how.html", facts=_facts(study)
        ),
    ]
    lead = " ".join(headlines[:_MOST_ANSWERS])
    page = Page("Phenotypes", lead, study.people.flags, sections)
    results.page(page)


def _facts(study: _Study) -> dict[str, object]:
    """Return what the page's methods name."""
    settings = study.people.settings
    # Names of phenotypes, by the sentences on them.
    names_by_words: dict[tuple[str, ...], list[str]] = {}
    for name, words in study.words.items():
        names_by_words.setdefault(tuple(words), []).append(name)
    return {
        "ridge": settings.part(PhenotypeOptions).ridge,
        "folds": settings.statistics.cross_validated,
        "seed": settings.modelling.seed,
        "words": names_by_words,
        "remarks": study.people.remarks.values(),
        "permutations": settings.statistics.map_permutations,
        "rule": RULE,
    }


def _with_corrected_p(sets: Sequence[_FeatureSet]) -> list[_FeatureSet]:
    """Return sets with p corrected over those with as many permutations, sites left out too."""
    corrected_sets = []
    for feature_set in sets:
        prediction = feature_set.prediction
        nulls = [candidate.prediction.null for candidate in sets]
        alike = [null for null in nulls if len(null) == len(prediction.null)]
        p = chance(prediction.r, np.max(alike, axis=0))
        corrected_sets.append(replace(feature_set, p_fwe=p))
    return corrected_sets


def _differences(sets: Sequence[_FeatureSet], seed: int) -> Iterator[Row]:
    """Yield how much better synthetic features predict than other kinds, by contrast."""
    pairs: dict[str, list[tuple[_FeatureSet, Verdict]]] = {}
    for synthetic in sets:
        for opponent in sets:
            if _is_opponent(opponent, synthetic):
                predictions = synthetic.prediction, opponent.prediction
                verdict = judge(*predictions, synthetic.phenotype.target, seed)
                kind_verdicts = pairs.setdefault(opponent.kind.name, [])
                kind_verdicts.append((synthetic, verdict))
    for minus, kind_verdicts in pairs.items():
        verdicts = corrected([verdict for _, verdict in kind_verdicts])
        for (synthetic, _), verdict in zip(kind_verdicts, verdicts, strict=True):
            yield {
                "phenotype": synthetic.phenotype.name,
                "features": synthetic.kind.name,
                "contrast": synthetic.contrast or None,
                "minus": minus,
                "score": synthetic.score_name,
                "difference": verdict.difference,
                "p": verdict.table_p,
                "verdict": verdict.word,
            }


def _is_opponent(opponent: _FeatureSet, synthetic: _FeatureSet) -> bool:
    """Return whether a set is measured, and of the people and contrast of a predicted one."""
    if opponent.kind.synthetic or not synthetic.kind.synthetic:
        return False
    if opponent.by_site or synthetic.by_site:
        return False
    same_contrast = opponent.contrast in ("", synthetic.contrast)
    return same_contrast and opponent.labels == synthetic.labels


def _headline(sets: Sequence[_FeatureSet], differences: Sequence[Row]) -> str:
    """Return the answer in a sentence or two."""
    ranked = _best_first(sets)
    best = ranked[0]
    kinds = {feature_set.kind.name: feature_set.kind.words for feature_set in sets}
    comparisons = Counter(row["minus"] for row in differences)
    verdicts = Counter((row["minus"], row["verdict"]) for row in differences)
    beside = [
        (count, comparisons[minus], verdict, kinds[str(minus)])
        for (minus, verdict), count in verdicts.items()
        if verdict in ("better", "worse")
    ]
    return sentences(
        "statistics/phenotypes_lead.html",
        few=too_few(len(np.unique(best.phenotype.target.families))),
        name=best.phenotype.name,
        title=best.title,
        what=best.score_name,
        score=best.score,
        p=best.p_fwe,
        several=len(ranked),
        number=sum(feature_set.p_fwe <= ALPHA for feature_set in ranked),
        beside=beside,
    )


def _best_first(sets: Sequence[_FeatureSet]) -> list[_FeatureSet]:
    """Return the sets where families were left out by their scores, the best first."""

    def rank(feature_set: _FeatureSet) -> float:
        return -float(np.nan_to_num(feature_set.score.mean, nan=-2))

    by_family = [feature_set for feature_set in sets if not feature_set.by_site]
    return sorted(by_family, key=rank)


def _shown(sets: Mapping[str, Sequence[_FeatureSet]]) -> Iterator[_FeatureSet]:
    """Yield the page's rows: each phenotype's best sets, those without contrasts, and by site."""

    def smallest_p(name: str) -> float:
        """Return the smallest corrected p of a phenotype; a missing p comes last."""
        p = [feature_set.p_fwe for feature_set in sets[name]]
        return float(np.nan_to_num(p, nan=2.0).min())

    most = max(1, _MOST_SETS // len(sets))
    for name in sorted(sets, key=smallest_p)[:_MOST_PHENOTYPES]:
        ranked = _best_first(sets[name])
        for rank, feature_set in enumerate(ranked):
            if rank < most or not feature_set.contrast:
                yield feature_set
        if len(sets) <= _MOST_ANSWERS:
            for feature_set in sets[name]:
                if feature_set.by_site and feature_set.features == ranked[0].features:
                    yield feature_set


def _page_row(feature_set: _FeatureSet, differences: Sequence[Row]) -> Row:
    """Return a row of the page's table, with comparisons with other kinds of features."""
    table_row = feature_set.row
    row = {key: table_row[key] for key in ("phenotype", "people", "p_fwe")}
    row |= {"features": feature_set.title, "score": feature_set.score}
    for compared in differences:
        same = all(compared[name] == table_row[name] for name in _COMPARED)
        if same and not feature_set.by_site:
            row[f"minus_{compared['minus']}"] = compared["difference"]
            row[f"verdict_{compared['minus']}"] = compared["verdict"]
    return row


def _section(
    sets: Mapping[str, Sequence[_FeatureSet]], differences: Sequence[Row]
) -> Section:
    """Return the table of some sets, and a figure of their scores."""
    shown = [*_shown(sets)]
    opponents = dict.fromkeys(str(row["minus"]) for row in differences)
    columns = [*_ON_PAGE]
    for opponent in opponents:
        columns += [column.of(opponent) for column in _BESIDE]
    number = sum(map(len, sets.values()))
    caption = "Sets of features"
    if len(shown) < number:
        caption += f", {len(shown)} of {number}; the file has all"
    rows = [_page_row(feature_set, differences) for feature_set in shown]
    table = ResultTable(columns, rows).on_page(caption)
    drawn = [_dots(shown, "r", "0"), _dots(shown, "AUC", "0.5")]
    return Section("Scores", tables=[table], figures=drawn)


def _dots(
    shown: Sequence[_FeatureSet], score: str, by_chance: str
) -> figures.Figure | None:
    """Plot r of phenotypes that are numbers, or AUC of those with two levels."""
    sets = [feature_set for feature_set in shown if feature_set.score_name == score]
    names = [f"{drawn.phenotype.name}: {drawn.title}" for drawn in sets]
    scores = [astuple(feature_set.score) for feature_set in sets]
    # (mean, low and high; sets)
    intervals = np.array(scores, np.float64).reshape(-1, 3).T
    is_synthetic = np.array([drawn.kind.synthetic for drawn in sets], bool)
    # Features of twins and of dynamics come from models, and are not what these predict.
    legend = "measured" if is_synthetic.any() else "features"
    origins = {"predicted by the model": is_synthetic, legend: ~is_synthetic}
    means, ends = {}, {}
    for words, is_of_origin in origins.items():
        if is_of_origin.any():
            mean, low, high = np.where(is_of_origin, intervals, np.nan)
            means[words] = mean
            ends[words] = low, high
    return figures.dots(
        f"{score} with its 95 % interval",
        f"{score} (chance: {by_chance})",
        names,
        means,
        ends,
    )
