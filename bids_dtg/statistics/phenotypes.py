"""``group --analysis phenotypes``: phenotypes predicted from maps, edges and measured maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bids_dtg.cohort.features import (
    ALL_CONTRASTS,
    FeatureSource,
    find_features,
    note_incomplete,
    print_plan,
)
from bids_dtg.cohort.people import GroupPeople, gather_people
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import Column, ResultTable, interval_of
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.paths import temporary_folder
from bids_dtg.notices import counted, named, say
from bids_dtg.report import figures
from bids_dtg.report.page import Page, Section, sentences
from bids_dtg.settings import Settings
from bids_dtg.statistics.asked import covariates_of, phenotypes_asked, values_of
from bids_dtg.statistics.options import PhenotypeOptions
from bids_dtg.stats.permutation import FEWEST_ORDERS, different_orders, permuted_orders
from bids_dtg.stats.prediction import (
    Array,
    Integers,
    Prediction,
    Target,
    chance,
    common_products,
    family_folds,
    judge,
    of_products,
    predict,
    products,
    rotated,
    site_folds,
)
from bids_dtg.stats.verdict import FEWEST, RULE, Verdict, corrected
from bids_dtg.workflows import FeatureKind

ALPHA = 0.05
_MOST_TOGETHER = 3000  # people; with more, products of all contrasts are too large
_MOST_SETS, _MOST_PHENOTYPES, _MOST_ANSWERS = 12, 5, 3  # on the page
_FEWEST_OF_SITE = 3
_WRITES = ("desc-phenotypes_scores", "desc-phenotypes_differences")
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
        interval="95 % interval, by bootstrap over families (BCa)",
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
        interval="95 % interval, by bootstrap over families (BCa)",
    ),
    Column(
        "balanced_accuracy",
        "For two levels: mean over levels of the share classified correctly",
    ),
    Column("p", "Share of permutations with an r as large"),
    Column(
        "p_fwe",
        "Share of permutations in which the largest r over all sets of the phenotype is as large",
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
    Column("p_fwe", "p corrected over all sets of the phenotype", "corrected p"),
)
_BESIDE = (
    Column(
        "minus_{}", "Score minus that from {}", "minus {}", interval="95 % interval"
    ),
    Column("verdict_{}", f"Verdict on that: {RULE}", "against {}"),
)


@dataclass(frozen=True, eq=False)
class _Asked:
    """A phenotype of some people, against which each set of features is judged."""

    target: Target
    # Folds of families, then, where sites can be left out, folds of one site each; the second
    # value is whether folds are sites.
    folds: Sequence[tuple[Integers, bool]]


@dataclass(frozen=True, eq=False)
class _Set:
    """A phenotype, predicted from a set of features."""

    kind: FeatureKind
    contrast: str  # empty: none
    labels: tuple[str, ...]
    asked: _Asked
    found: Prediction
    of_sites: bool = False  # whether sites were left out, not families

    @property
    def title(self) -> str:
        """Features and contrast."""
        name = f"{self.kind.words}{f': {self.contrast}' if self.contrast else ''}"
        return f"{name} (sites left out)" if self.of_sites else name


@dataclass(eq=False)
class _Study:
    """All predictions of a run."""

    people: GroupPeople
    names: Sequence[str]
    sets: dict[str, list[_Set]] = field(default_factory=dict)  # by phenotype
    words: dict[str, list[str]] = field(default_factory=dict)  # sentences by phenotype
    _asked: dict[tuple[str, ...], _Asked | None] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def _say_once(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            say(words)

    def add(
        self, kind: FeatureKind, contrast: str, labels: Sequence[str], features: Array
    ) -> None:
        """Predict all phenotypes from a set of features (people, columns)."""
        for name in self.names:
            texts = self.people.column(name).texts
            rows = [row for row, label in enumerate(labels) if label in texts]
            own = tuple(labels[row] for row in rows)
            if (asked := self._ask(kind, name, own)) is None:
                continue
            for folds, of_sites in asked.folds:
                try:
                    found = predict(
                        features[rows],
                        asked.target,
                        folds,
                        ridge=self.people.settings.part(PhenotypeOptions).ridge,
                        within=of_sites,
                    )
                except ValueError as err:
                    self._say_once(f"{name} is not predicted from {kind.words}: {err}")
                    continue
                made = _Set(kind, contrast, own, asked, found, of_sites)
                self.sets.setdefault(name, []).append(made)

    def _ask(
        self, kind: FeatureKind, name: str, labels: tuple[str, ...]
    ) -> _Asked | None:
        """Return a phenotype of people; print a line and return None if it cannot be predicted."""
        key = (name, *kind.covariates, "", *labels)
        if key not in self._asked:
            try:
                self._asked[key] = self._prepare(kind, name, labels)
            except (
                ValueError,
                SettingsError,
            ) as err:  # such as too few people of a contrast
                say(f"{name} is not predicted: {err}")
                self._asked[key] = None
        return self._asked[key]

    def _prepare(self, kind: FeatureKind, name: str, labels: tuple[str, ...]) -> _Asked:
        people = self.people.of(labels)
        options, seed = people.settings.statistics, people.settings.modelling.seed
        column = people.column(name)
        if len(column.levels) < 2:
            raise ValueError("it has the same value for everybody")
        tested = values_of(column, people.labels)
        words = self.words.setdefault(name, [])

        def tell(sentence: str) -> None:
            if sentence not in words:
                words.append(sentence)

        covariates = covariates_of(people, kind, name, tested, tell)
        if covariates.names:
            # The levels of a category, such as sites, are one word.
            whole = dict.fromkeys(own.partition(": ")[0] for own in covariates.names)
            tell(f"covariates: {', '.join(whole)}")
        folds = [(family_folds(people.families, options.cross_validated, seed), False)]
        draws = options.map_permutations
        different = different_orders(tested, people.families, people.sites)
        if draws and (len(people) < FEWEST or different < FEWEST_ORDERS):
            tell(
                "no permutations: too few participants, or too few ways to permute them"
            )
            draws = 0
        if people.sites is not None:
            sites = site_folds(people.families, people.sites)
            if (
                len(np.unique(sites)) > 1
                and np.bincount(sites).min() >= _FEWEST_OF_SITE
            ):
                folds.append((sites, True))
        orders = permuted_orders(people.families, draws, sites=people.sites, seed=seed)
        target = Target(tested, people.families, covariates.values, orders)
        return _Asked(target, folds)


def run_phenotypes(settings: Settings) -> int:
    """Predict phenotypes; return how many participants could not be read.

    Raises
    ------
    DatasetError, SettingsError
        There are no features, no phenotype, or too few people.
    """
    people = gather_people(settings).complete(settings.statistics.covariates)
    people.covariates(settings.statistics.covariates)  # refuses unusable columns
    names = phenotypes_asked(people)
    # Features that predicted maps are compared with come first.
    sources = sorted(find_features(people), key=lambda source: source.kind.synthetic)
    people = _with_all(people, sources)
    if settings.behaviour.dry_run:
        would = f"would predict {named(names)} of {counted(len(people), 'participant')}"
        return print_plan(sources, [would])
    results = ResultFolder.of(settings, people.output, *_WRITES)
    with results.begun(), temporary_folder() as folder, one_blas_thread():
        study = _Study(people, names)
        for number, source in enumerate(sources):
            together: tuple[tuple[str, ...], Array] | None = None
            anybody = set[str]()  # people with at least one contrast
            count = len(source.contrasts)
            for position, table in enumerate(source.tables(people, folder)):
                say(f"{(number + position / count) / len(sources):4.0%} {table.title}")
                study.add(
                    source.kind, table.contrast, table.labels, rotated(table.values)
                )
                anybody.update(table.labels)
                if count > 1 and len(people) <= _MOST_TOGETHER:
                    of_contrast = table.labels, products(table.values)
                    together = (
                        common_products(together, of_contrast)
                        if together
                        else of_contrast
                    )
            if together is not None:
                note_incomplete(people, source.kind, anybody, together[0])
                if together[0]:
                    study.add(
                        source.kind,
                        ALL_CONTRASTS,
                        together[0],
                        of_products(together[1]),
                    )
        _write(results, study)
    return len(people.failed)


def _with_all(people: GroupPeople, sources: Sequence[FeatureSource]) -> GroupPeople:
    """Return people who have features of all kinds, so that these can be compared."""
    kept = [
        label
        for label in people.labels
        if all(label in source.has for source in sources)
    ]
    if gone := [f"sub-{label}" for label in people.labels if label not in kept]:
        kinds = " or ".join(source.kind.words for source in sources)
        say(
            f"left out: {counted(len(gone), 'participant')} without {kinds} ({named(gone)})"
        )
    return people.of(kept)


def _write(results: ResultFolder, study: _Study) -> None:
    """Write tables and the page.

    Raises
    ------
    DatasetError
        No phenotype could be predicted.
    """
    if not study.sets:
        raise DatasetError(
            f"none of {named(list(study.names))} can be predicted",
            expected=f"values that differ, of {study.people.settings.statistics.cross_validated} "
            "families or more",
        )
    seed = study.people.settings.modelling.seed
    scores = {
        name: [_row(name, one, own, seed) for one in own]
        for name, own in study.sets.items()
    }
    differences = {
        name: list(_differences(name, own, seed)) for name, own in study.sets.items()
    }
    results.table(
        "desc-phenotypes_scores",
        ResultTable(
            _SCORES,
            [row for own in scores.values() for row in own],
            "A set of features",
        ),
    )
    compared = [row for own in differences.values() for row in own]
    results.table(
        "desc-phenotypes_differences",
        ResultTable(_DIFFERENCES, compared, "Two sets of features"),
    )
    headlines = [
        _headline(name, own, scores[name], differences[name])
        for name, own in study.sets.items()
    ]
    for headline in headlines:
        say(headline)
    shown = list(_shown(study, scores, differences))
    alike: dict[
        tuple[str, ...], list[str]
    ] = {}  # names of phenotypes, by what is said of them
    for name, said in study.words.items():
        alike.setdefault(tuple(said), []).append(name)
    facts = {
        "ridge": study.people.settings.part(PhenotypeOptions).ridge,
        "folds": study.people.settings.statistics.cross_validated,
        "seed": seed,
        "words": alike,
        "permutations": study.people.settings.statistics.map_permutations,
        "rule": RULE,
    }
    sections = [
        _section(study, shown, differences),
        Section("Methods", template="statistics/phenotypes_how.html", facts=facts),
    ]
    lead = " ".join(headlines[:_MOST_ANSWERS])
    page = Page("Phenotypes", lead, study.people.flags, sections)
    results.page(page)


def _row(
    name: str, one: _Set, all_sets: Sequence[_Set], seed: int
) -> dict[str, object]:
    """Return a set's row of the table of scores."""
    found, target = one.found, one.asked.target
    judged = judge(found, None, target, seed)
    row: dict[str, object] = {
        "phenotype": name,
        "features": one.kind.name,
        "contrast": one.contrast or None,
        "left_out": "sites" if one.of_sites else "families",
        "people": len(one.labels),
        "families": len(np.unique(target.families)),
        "r": (found.r, np.nan, np.nan),
        "r2": found.r2,
        "p": found.p,
        "p_fwe": chance(
            found.r, np.max([own.found.null for own in _same(one, all_sets)], axis=0)
        ),
    }
    if (second := target.second) is None:
        return row | {"r": judged.difference}
    return row | {
        "auc": judged.difference,
        "balanced_accuracy": found.balanced_accuracy(second),
    }


def _same(one: _Set, all_sets: Sequence[_Set]) -> list[_Set]:
    """Return the sets that share a set's permutations, with the same kind of folds."""
    draws = len(one.found.null)
    return [
        own
        for own in all_sets
        if own.of_sites == one.of_sites and len(own.found.null) == draws
    ]


def _differences(
    name: str, sets: Sequence[_Set], seed: int
) -> Iterator[dict[str, object]]:
    """Yield how much better synthetic features predict than other kinds, by contrast."""
    pairs: dict[str, list[tuple[_Set, Verdict]]] = {}
    for one in sets:
        for other in sets if one.kind.synthetic else ():
            alike = other.contrast in ("", one.contrast) and not (
                one.of_sites or other.of_sites
            )
            if not other.kind.synthetic and alike and other.labels == one.labels:
                judged = judge(one.found, other.found, one.asked.target, seed)
                pairs.setdefault(other.kind.name, []).append((one, judged))
    for minus, own in pairs.items():
        for (one, _), verdict in zip(
            own, corrected([found for _, found in own]), strict=True
        ):
            yield {
                "phenotype": name,
                "features": one.kind.name,
                "contrast": one.contrast or None,
                "minus": minus,
                "score": "r" if one.asked.target.second is None else "AUC",
                "difference": verdict.difference,
                "p": verdict.table_p,
                "verdict": verdict.word,
            }


def _score(row: dict[str, object]) -> tuple[float, float, float]:
    """Return the headline score of a row with its interval: AUC of two levels, else r."""
    found = interval_of(row.get("auc") or row["r"])
    assert found is not None
    return found


def _headline(
    name: str,
    sets: Sequence[_Set],
    rows: Sequence[dict[str, object]],
    differences: Sequence[dict[str, object]],
) -> str:
    """Return the answer in a sentence or two."""
    order = _best_first(sets, rows)
    best = rows[order[0]]
    verdicts = Counter((row["minus"], row["verdict"]) for row in differences)
    kinds = {one.kind.name: one.kind.words for one in sets}
    beside = [
        (
            count,
            sum(row["minus"] == minus for row in differences),
            verdict,
            kinds[str(minus)],
        )
        for (minus, verdict), count in verdicts.items()
        if verdict in ("better", "worse")
    ]
    return sentences(
        "statistics/phenotypes_lead.html",
        name=name,
        title=sets[order[0]].title,
        what="AUC" if "auc" in best else "r",
        score=_score(best),
        p=best["p_fwe"],
        several=len(order),
        number=sum(float(str(rows[place]["p_fwe"])) <= ALPHA for place in order),
        beside=beside,
    )


def _best_first(sets: Sequence[_Set], rows: Sequence[dict[str, object]]) -> list[int]:
    """Return the sets by their scores where families were left out, the best first."""
    own = [n for n, one in enumerate(sets) if not one.of_sites]
    return sorted(own, key=lambda n: -np.nan_to_num(_score(rows[n])[0], nan=-2))


def _shown(
    study: _Study,
    scores: Mapping[str, Sequence[dict[str, object]]],
    differences: Mapping[str, Sequence[dict[str, object]]],
) -> Iterator[tuple[_Set, dict[str, object]]]:
    """Yield the page's rows: each phenotype's best sets, those without contrasts, and by site."""
    names = sorted(study.sets, key=lambda name: min(_p(row) for row in scores[name]))
    for name in names[:_MOST_PHENOTYPES]:
        sets, rows = study.sets[name], scores[name]
        order = _best_first(sets, rows)
        most = max(1, _MOST_SETS // len(study.sets))
        shown = [
            n for rank, n in enumerate(order) if rank < most or not sets[n].contrast
        ]
        best = sets[order[0]]
        if len(study.sets) <= _MOST_ANSWERS:
            shown += [
                n for n, one in enumerate(sets) if one.of_sites and _is_of(one, best)
            ]
        for n in shown:
            one, row = sets[n], rows[n]
            row = {key: row[key] for key in ("phenotype", "people", "p_fwe")}
            row |= {"features": one.title, "score": _score(rows[n])}
            for found in () if one.of_sites else differences[name]:
                if (found["features"], found["contrast"]) == (
                    one.kind.name,
                    one.contrast or None,
                ):
                    row[f"minus_{found['minus']}"] = found["difference"]
                    row[f"verdict_{found['minus']}"] = found["verdict"]
            yield one, row


def _section(
    study: _Study,
    shown: Sequence[tuple[_Set, dict[str, object]]],
    differences: Mapping[str, Sequence[dict[str, object]]],
) -> Section:
    """Return the table of some sets, and a figure of their scores."""
    rows = [row for _, row in shown]
    found = dict.fromkeys(
        str(row["minus"]) for own in differences.values() for row in own
    )
    columns = [*_ON_PAGE, *(column.of(minus) for minus in found for column in _BESIDE)]
    every = sum(len(own) for own in study.sets.values())
    fewer = f", {len(rows)} of {every}; the file has all" if len(rows) < every else ""
    drawn = []
    for what, chance_is in (("r", 0), ("AUC", 0.5)):
        own = [
            pair
            for pair in shown
            if (pair[0].asked.target.second is None) == (what == "r")
        ]
        names = [f"{row['phenotype']}: {row['features']}" for _, row in own]
        ends = np.array([row["score"] for _, row in own], np.float64).reshape(-1, 3).T
        by = {
            words: np.where(
                [one.kind.synthetic == synthetic for one, _ in own], ends, np.nan
            )
            for words, synthetic in (
                ("predicted by the model", True),
                ("measured", False),
            )
            if any(one.kind.synthetic == synthetic for one, _ in own)
        }
        drawn.append(
            figures.dots(
                f"{what} with its 95 % interval",
                f"{what} (chance: {chance_is})",
                names,
                {words: own_ends[0] for words, own_ends in by.items()},
                {words: (own_ends[1], own_ends[2]) for words, own_ends in by.items()},
            )
        )
    table = ResultTable(columns, rows).on_page(f"Sets of features{fewer}")
    return Section("Scores", tables=[table], figures=drawn)


def _is_of(one: _Set, other: _Set) -> bool:
    return (one.kind.name, one.contrast) == (other.kind.name, other.contrast)


def _p(row: Mapping[str, object]) -> float:
    """Return the corrected p, for sorting; a missing p comes last."""
    return float(np.nan_to_num(float(str(row["p_fwe"])), nan=2.0))
