"""``group --analysis phenotypes``: phenotypes predicted from maps, edges and measured maps."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.features import (
    FeatureSource,
    find_features,
    print_plan,
    report_failed,
)
from bids_dtg.cohort.people import GroupPeople, gather_people
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.errors import DatasetError
from bids_dtg.files.temporary import temporary_folder
from bids_dtg.notices import counted, named, say
from bids_dtg.report import figures
from bids_dtg.report.flags import Flag
from bids_dtg.report.pages.analysis import AnalysisPageFacts, PageSection
from bids_dtg.report.pages.page import sentences
from bids_dtg.settings import Settings
from bids_dtg.statistics.asked import covariates_of, phenotypes_asked, values_of
from bids_dtg.stats.permutation import FEWEST_ORDERS, different_orders, permuted_orders
from bids_dtg.stats.prediction import (
    Array,
    Integers,
    Prediction,
    Target,
    chance,
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

ALL = "all"  # contrasts side by side
ALPHA = 0.05
_MOST_TOGETHER = 3000  # people: of more, products of all contrasts are too large
_SHOWN = 12  # sets on the page
_FEWEST_OF_SITE = 3
_WRITES = ("desc-phenotypes_scores", "desc-phenotypes_differences")
_PHENOTYPE = Column("phenotype", "Column of the table of participants")
_CONTRAST = Column("contrast", f"Contrast of the maps; {ALL}: those of all contrasts side by side")
_SCORES = (
    _PHENOTYPE,
    Column("features", "Features that it was predicted from: a value of --feature-sets"),
    _CONTRAST,
    Column("left_out", "Left out in turn: families, in folds; or sites, each compared within"),
    Column("people", "Participants"),
    Column("families", "Number of their families"),
    Column(
        "r",
        "Pearson correlation over participants of predicted and measured deviations from what "
        "covariates of the training participants say",
        interval="95 % interval, by drawing families again (BCa)",
    ),
    Column("r2", "1 less the share of squared error; below 0: worse than the covariates", "R²"),
    Column(
        "auc",
        "Of two levels: probability that the second level's participant has the larger prediction",
        "AUC",
        interval="95 % interval, by drawing families again (BCa)",
    ),
    Column("balanced_accuracy", "Of two levels: mean share of their participants recognised"),
    Column("p", "Share of permutations with an r as large"),
    Column(
        "p_fwe",
        "Share of permutations in which the largest r of all sets of the phenotype is as large",
        heading="p over all sets",
    ),
)
_DIFFERENCES = (
    _PHENOTYPE,
    Column("features", "Features whose score is compared"),
    _CONTRAST,
    Column("minus", "Features whose score is taken off"),
    Column("score", "r, or AUC of two levels"),
    Column(
        "difference",
        "Difference of the score in the same folds",
        interval="95 % interval, by drawing families again (BCa), \u221a2 wider as they are also "
        "who was trained on",
    ),
    Column("p", "Two-sided p by sign flips of shares in it, corrected for contrasts (FDR)"),
    Column("verdict", f"Verdict: {RULE}"),
)


@dataclass(frozen=True, eq=False)
class _Asked:
    """A phenotype of some people: what every set of features is judged by."""

    target: Target
    folds: Integers
    sites: Integers | None  # folds of a site each; None: no sites that can be left out


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
    """All predictions of a call."""

    people: GroupPeople
    names: Sequence[str]
    sets: dict[str, list[_Set]] = field(default_factory=dict)  # by phenotype
    failed: dict[str, str] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)  # sentences by phenotype
    _asked: dict[tuple[str, ...], _Asked | None] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def _say_once(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            say(words)

    def add(self, kind: FeatureKind, contrast: str, labels: Sequence[str], features: Array) -> None:
        """Predict all phenotypes from a set of features (people, columns)."""
        for name in self.names:
            texts = self.people.column(name).texts
            rows = [row for row, label in enumerate(labels) if label in texts]
            own = tuple(labels[row] for row in rows)
            if (asked := self._ask(kind, name, own)) is None:
                continue
            several = [
                (asked.folds, False),
                *([] if asked.sites is None else [(asked.sites, True)]),
            ]
            for folds, of_sites in several:
                try:
                    found = predict(
                        features[rows],
                        asked.target,
                        folds,
                        ridge=self.people.settings.statistics.ridge,
                        within=of_sites,
                    )
                except ValueError as err:
                    self._say_once(f"{name} is not predicted from {kind.words}: {err}")
                    continue
                made = _Set(kind, contrast, own, asked, found, of_sites)
                self.sets.setdefault(name, []).append(made)

    def _ask(self, kind: FeatureKind, name: str, labels: tuple[str, ...]) -> _Asked | None:
        """Return a phenotype of people; None, and one line, where it cannot be predicted."""
        key = (name, *kind.covariates, "", *labels)
        if key not in self._asked:
            try:
                self._asked[key] = self._prepare(kind, name, labels)
            except ValueError as err:
                say(f"{name} is not predicted: {err}")
                self._asked[key] = None
        return self._asked[key]

    def _prepare(self, kind: FeatureKind, name: str, labels: tuple[str, ...]) -> _Asked:
        people = self.people.of(labels)
        options, seed = people.settings.statistics, people.settings.modelling.seed
        column = people.column(name)
        if len(column.levels) < 2:
            raise ValueError("it is the same for everybody")
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
            for origin in people.origins([*whole]):
                tell(origin)
        folds = family_folds(people.families, options.cross_validated, seed)
        draws = options.map_permutations
        different = different_orders(tested, people.families, people.sites)
        if draws and (len(people) < FEWEST or different < FEWEST_ORDERS):
            tell("no permutations: too few participants, or families and sites that are alike")
            draws = 0
        sites = None
        if people.sites is not None:
            sites = site_folds(people.families, people.sites)
            if len(np.unique(sites)) < 2 or np.bincount(sites).min() < _FEWEST_OF_SITE:
                sites = None
        orders = permuted_orders(people.families, draws, sites=people.sites, seed=seed)
        target = Target(tested, people.families, covariates.values, orders)
        return _Asked(target, folds, sites)


def run_phenotypes(settings: Settings) -> int:
    """Predict phenotypes; return how many participants were left out as they cannot be read.

    Raises
    ------
    DatasetError, SettingsError
        There are no features, no phenotype, or too few people.
    """
    people = gather_people(settings).complete(settings.statistics.covariates)
    people.covariates(settings.statistics.covariates)  # refuses what cannot be one
    names = phenotypes_asked(people)
    # What maps are compared with comes first.
    sources = sorted(find_features(people), key=lambda source: source.kind.synthetic)
    people = _with_all(people, sources)
    if settings.behaviour.dry_run:
        would = f"would predict {named(names)} of {counted(len(people), 'participant')}"
        return print_plan(sources, [would])
    results = ResultFolder.of(settings, people.output, *_WRITES)
    with results.begun(), temporary_folder() as folder, one_blas_thread():
        study = _Study(people, names)
        for number, source in enumerate(sources):
            together: Array | None = None
            first: tuple[str, ...] = ()
            count = len(source.contrasts)
            for position, table in enumerate(source.tables(people, folder)):
                say(f"{(number + position / count) / len(sources):4.0%} {table.title}")
                study.failed |= report_failed(table, study.failed)
                study.add(source.kind, table.contrast, table.labels, rotated(table.values))
                if count > 1 and len(table.labels) <= _MOST_TOGETHER:
                    own = products(table.values)
                    if together is None:
                        together, first = own, table.labels
                    elif table.labels == first:
                        together += own
            if together is not None:
                study.add(source.kind, ALL, first, of_products(together))
        _write(results, study)
    return len(study.failed)


def _with_all(people: GroupPeople, sources: Sequence[FeatureSource]) -> GroupPeople:
    """Return people who have features of all kinds, so that these can be compared."""
    kept = [label for label in people.labels if all(label in source.has for source in sources)]
    if gone := [f"sub-{label}" for label in people.labels if label not in kept]:
        kinds = named([source.kind.words for source in sources])
        say(f"left out: {counted(len(gone), 'participant')} without {kinds} ({named(gone)})")
    if not kept:
        raise DatasetError(
            "nobody has features of all kinds", remedy="name fewer with --feature-sets"
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
    scores = {name: [_row(name, one, own, seed) for one in own] for name, own in study.sets.items()}
    differences = {name: list(_differences(name, own, seed)) for name, own in study.sets.items()}
    results.table(
        "desc-phenotypes_scores",
        ResultTable(_SCORES, [row for own in scores.values() for row in own], "A set of features"),
    )
    compared = [row for own in differences.values() for row in own]
    results.table(
        "desc-phenotypes_differences", ResultTable(_DIFFERENCES, compared, "Two sets of features")
    )
    headlines, sections = [], []
    for name, own in study.sets.items():
        headlines.append(_headline(name, own, scores[name], differences[name]))
        say(headlines[-1])
        sections.append(_section(name, own, scores[name], differences[name]))
    facts = {
        "ridge": study.people.settings.statistics.ridge,
        "folds": study.people.settings.statistics.cross_validated,
        "seed": seed,
        "words": study.words,
        "permutations": study.people.settings.statistics.map_permutations,
        "rule": RULE,
    }
    sections.append(PageSection("Methods", template="phenotypes_how.html", facts=facts))
    flags = [*study.people.flags]
    if study.failed:
        flags.append(Flag("warning", f"{counted(len(study.failed), 'participant')} unreadable"))
    page = AnalysisPageFacts("Phenotypes", " ".join(headlines), flags, sections, "../../index.html")
    results.page(page)


def _row(name: str, one: _Set, all_sets: Sequence[_Set], seed: int) -> dict[str, object]:
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
        "p_fwe": chance(found.r, np.max([own.found.null for own in _same(one, all_sets)], axis=0)),
    }
    if (second := target.second) is None:
        return row | {"r": judged.difference}
    return row | {"auc": judged.difference, "balanced_accuracy": found.balanced_accuracy(second)}


def _same(one: _Set, all_sets: Sequence[_Set]) -> list[_Set]:
    """Return the sets with which one shares its draws: with other people left out, others do."""
    draws = len(one.found.null)
    return [
        own for own in all_sets if own.of_sites == one.of_sites and len(own.found.null) == draws
    ]


def _differences(name: str, sets: Sequence[_Set], seed: int) -> Iterator[dict[str, object]]:
    """Yield how much better synthetic features predict than each other kind, by contrast."""
    pairs: dict[tuple[str, bool], list[tuple[_Set, Verdict]]] = {}
    for one in sets:
        for other in sets if one.kind.synthetic else ():
            alike = other.contrast in ("", one.contrast) and other.of_sites == one.of_sites
            if not other.kind.synthetic and alike and other.labels == one.labels:
                judged = judge(one.found, other.found, one.asked.target, seed)
                pairs.setdefault((other.kind.name, one.of_sites), []).append((one, judged))
    for (minus, of_sites), own in pairs.items():
        if of_sites:
            continue
        for (one, _), verdict in zip(own, corrected([found for _, found in own]), strict=True):
            yield {
                "phenotype": name,
                "features": one.kind.name,
                "contrast": one.contrast or None,
                "minus": minus,
                "score": "r" if one.asked.target.second is None else "AUC",
                "difference": verdict.difference,
                "p": verdict.p,
                "verdict": verdict.word,
            }


def _score(row: dict[str, object]) -> tuple[float, float, float]:
    """Return the headline score of a row with its interval: AUC of two levels, else r."""
    found = row.get("auc") or row["r"]
    if isinstance(found, tuple):
        return found
    return found.mean, found.low, found.high  # type: ignore[attr-defined]


def _headline(
    name: str,
    sets: Sequence[_Set],
    rows: Sequence[dict[str, object]],
    differences: Sequence[dict[str, object]],
) -> str:
    """Return the answer in a sentence or two."""
    order = _best_first(sets, rows)
    best = rows[order[0]]
    beside = []
    for verdict in ("better", "worse"):
        for minus in dict.fromkeys(row["minus"] for row in differences):
            those = [
                row for row in differences if (row["verdict"], row["minus"]) == (verdict, minus)
            ]
            if those:
                maps = named([str(row["contrast"] or row["features"]) for row in those])
                beside.append((verdict, minus, maps))
    return sentences(
        "phenotypes_lead.html",
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


def _section(
    name: str,
    sets: Sequence[_Set],
    rows: Sequence[dict[str, object]],
    differences: Sequence[dict[str, object]],
) -> PageSection:
    order = _best_first(sets, rows)
    shown = [n for n in order if order.index(n) < _SHOWN or not sets[n].contrast]
    fewer = f" (the best of {len(order)}; the file has all)" if len(shown) < len(order) else ""
    shown += [
        n
        for n, one in enumerate(sets)
        if one.of_sites and any(_is_of(one, sets[other]) for other in shown[:1])
    ]
    two = "auc" in rows[0]
    columns = ("auc", "balanced_accuracy") if two else ("r", "r2")
    titled = [rows[n] | {"features": sets[n].title} for n in shown]
    tables = [
        ResultTable(_SCORES, titled).on_page(
            f"{name}, {rows[0]['people']} participants{fewer}",
            ["features", *columns, "p", "p_fwe"],
        )
    ]
    wanted = {(sets[n].kind.name, sets[n].contrast or None) for n in shown}
    beside = [row for row in differences if (row["features"], row["contrast"]) in wanted]
    if beside:
        tables.append(
            ResultTable(_DIFFERENCES, beside).on_page(
                f"{name}: score of maps minus that of other features",
                ["contrast", "minus", "difference", "p", "verdict"],
            )
        )
    picture = _draw(
        [(sets[n].title, *_score(rows[n]), sets[n].kind.synthetic) for n in shown],
        0.5 if two else 0.0,
    )
    drawn = {} if picture is None else {f"{'AUC' if two else 'r'} with 95 % intervals": picture}
    return PageSection(
        name,
        tables=tables,
        figures=[figures.pictures("Blue: predicted by the model; orange: read from files.", drawn)],
    )


def _is_of(one: _Set, other: _Set) -> bool:
    return (one.kind.name, one.contrast) == (other.kind.name, other.contrast)


def _draw(rows: Sequence[tuple[str, float, float, float, bool]], nothing: float) -> bytes | None:
    """Draw scores with their intervals as a PNG; None without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(7, 0.9 + 0.27 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.axvline(nothing, color="0.7", linewidth=1)
    for height, (_, mean, low, high, synthetic) in enumerate(rows[::-1]):
        colour = "C0" if synthetic else "C1"
        axes.plot([low, high], [height, height], color=colour, linewidth=1.5)
        axes.plot([mean], [height], "o", color=colour)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows[::-1]])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
