"""The page of phenotypes predicted from maps and connectomes: the answers come first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.notices import counted
from bids_dtg.report.flags import Flag
from bids_dtg.report.numbers import Cell, figure
from bids_dtg.report.pages.analysis import (
    AnalysisPageFacts,
    PageSection,
    Pictures,
    Scatter,
    Table,
)
from bids_dtg.stats.paired import Interval
from bids_dtg.stats.verdict import BETTER, FEWEST, FEWEST_RARER, RULE, Verdict, too_few

ALL = "all"  # in place of a contrast: all contrasts side by side
EDGES = "edges"  # the features that all others are compared with
SYNTHETIC = ("maps", "regions")  # computed from the connectome
LARGEST_Q = 0.05
FEW = 100  # people; with fewer, intervals of scores are wide (about ±0.2 at r = 0)
_SHORT = {"r": "r", "r2": "R²", "mae": "MAE", "auc": "AUC"}
_KEPT_BY_MAPS = (
    "Maps are computed from the connectome of every voxel, of which the edges are a summary: what "
    "they hold beyond the edges comes from the same rest, not from a task."
)


@dataclass(frozen=True)
class Difference:
    """Difference of a score from that of the edges alone."""

    score: str  # name of the score
    p: float
    verdict: Verdict  # with p corrected for the contrasts of these features

    @property
    def cell(self) -> Cell:
        """The difference as text for a table."""
        interval = self.verdict.difference
        return (interval.mean, interval.low, interval.high)


@dataclass(frozen=True)
class FitScores:
    """Cross-validated scores with one penalty."""

    scores: Mapping[str, float]  # by name, means over repeats
    within_folds: float  # the main score, the mean over folds
    sd: float  # of the main score, over repeats
    p: float  # of the main score, by permutation; NaN: not tested
    q: float  # corrected for the contrasts of the same features
    chance: float  # mean of the main score over permutations; NaN: none
    effective_dof: float  # mean over folds


@dataclass(frozen=True, eq=False)
class Weights:
    """How features change with the fitted phenotype (Haufe), and where they lie."""

    values: NDArray[np.floating[Any]]  # (columns,)
    names: Sequence[str]  # of the columns; empty: voxels
    places: VoxelPlaces | None  # of voxels; None: not voxels
    atlas: str  # key of the atlas whose regions the columns are; empty: no regions


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction of a phenotype from the features of a contrast."""

    features: str  # their name, a value of ``--feature-sets``
    words: str  # their description, plural
    contrast: str  # label; empty: none; `ALL`: all contrasts together
    people: int
    effective_people: float  # how many in equal levels would say as much; of numbers all
    families: int  # number of the people's families
    columns: int
    nested: FitScores  # with the penalty that was chosen inside of the folds
    published: FitScores
    interval: Interval  # of the main score, with the nested penalty
    # (people, 2): measured, and predicted (mean over repeats)
    points: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
    over: Difference | None = None  # minus the edges, each with its chosen penalty
    over_equal: Difference | None = None  # with equal degrees of freedom
    added: Difference | None = None  # both together, minus the edges alone
    weights: Weights | None = None  # None: none were computed
    # Beyond chance, with all features, contrasts and phenotypes of the page as tests.
    holds: bool = False

    @property
    def name(self) -> str:
        """Features and contrast, in a sentence."""
        return self.words if self.contrast in ("", ALL) else f"{self.words}, {self.contrast}"

    @property
    def title(self) -> str:
        """Contrast, or the features if they have none."""
        return self.words if self.contrast in ("", ALL) else self.contrast


@dataclass(frozen=True, eq=False)
class PhenotypeResults:
    """All findings on one phenotype."""

    name: str
    levels: tuple[str, ...]  # the two of a phenotype of words; none of one of numbers
    people: int
    effective_people: float  # how many in equal levels would say as much; of numbers all
    score: str  # name of the main score
    score_words: Mapping[str, str]  # what the scores mean, by name
    baselines: Mapping[str, Mapping[str, float]]  # scores of baselines without features, by words
    predictions: tuple[Prediction, ...]  # in the order in which they are shown
    notes: tuple[str, ...]  # on people, folds and permutations
    pictures: Mapping[str, bytes] = field(default_factory=dict)  # of weights: PNG files, by title

    @property
    def edges(self) -> Prediction | None:
        """The prediction from the edges; None if there is none."""
        return next((found for found in self.predictions if found.features == EDGES), None)

    @property
    def kinds(self) -> Mapping[str, list[Prediction]]:
        """The predictions by the words of their features."""
        kinds: dict[str, list[Prediction]] = {}
        for found in self.predictions:
            kinds.setdefault(found.words, []).append(found)
        return kinds

    def score_of(self, found: Prediction) -> float:
        """Return the main score of a prediction."""
        return found.nested.scores[self.score]


def judged_together(found: Sequence[PhenotypeResults]) -> list[PhenotypeResults]:
    """Note which predictions hold, with all features and phenotypes as tests.

    Notes
    -----
    Holm 1979, Scand. J. Stat. 6: 65, of the p that anything of a set of features predicts a
    phenotype: the smallest q of its contrasts (Simes 1986, Biometrika 73: 751).
    """
    p = sorted(
        (q, number, words)
        for number, results in enumerate(found)
        if not too_few(results.people)
        for words, own in results.kinds.items()
        if np.isfinite(q := min((one.nested.q for one in own), default=np.nan))
    )
    holding = set[tuple[int, str]]()
    for rank, (value, number, words) in enumerate(p):
        if value * (len(p) - rank) > LARGEST_Q:
            break
        holding.add((number, words))
    return [
        replace(
            results,
            predictions=tuple(
                replace(one, holds=(number, one.words) in holding and one.nested.q <= LARGEST_Q)
                for one in results.predictions
            ),
        )
        for number, results in enumerate(found)
    ]


def answer(results: PhenotypeResults) -> str:
    """Say in words what predicts a phenotype, and whether maps add to the connectome."""
    if few := too_few(results.people):
        return f"{results.name}: {few[:1].lower()}{few[1:]}."
    tested = [found for found in results.predictions if np.isfinite(found.nested.p)]
    if tested and not any(found.holds for found in tested):
        return _nothing(results)
    beyond = _beyond_chance(results) if tested else "Nothing was tested: there is no permutation."
    return f"{_compared_with_edges(results)} {beyond}"


def _nothing(results: PhenotypeResults) -> str:
    edges, others = results.edges, [own for own in results.predictions if own.features != EDGES]
    parts = []
    if edges is not None:
        parts.append(f"the connectome ({_edges_scored(results, edges)})")
    if others:
        best = max(others, key=results.score_of)
        some = f"any of {_sets(others)}" if len(others) > 1 else others[0].words
        parts.append(f"{some} (best: {best.name}, {_scored(results, best)})")
    listed = " nor ".join(parts)
    which = f"neither {listed}" if len(parts) > 1 else f"not {listed}"
    words = f"Nothing predicts {results.name} beyond chance: {which}."
    alike = max(results.predictions, key=results.score_of)
    # With q of many contrasts above 0.05, permuted people may still score far worse.
    if alike.nested.chance >= alike.interval.low > (0.5 if results.levels else 0.0):
        words += (
            f" People permuted within their sites and families score as well ({alike.name}: "
            f"{figure(alike.nested.chance, 2)}): what is predicted goes with these."
        )
    return words


def _compared_with_edges(results: PhenotypeResults) -> str:
    edges = results.edges
    if edges is None:
        return (
            f"Whether maps predict {results.name} better than the connectome behind them "
            "is not known: there are no edges to compare them with."
        )
    beside = _edges_scored(results, edges)
    compared = [own for own in results.predictions if own.over is not None and _is_synthetic(own)]
    if not compared:
        return f"{results.name} was predicted from the connectome ({beside})."
    if not _is_compared(results):
        return (
            f"{results.name} was predicted from the connectome ({beside}). Whether maps predict "
            f"it better is not known. {_missing(compared)}."
        )
    better = [own for own in compared if _is_better(own.over)]
    adding = [own for own in compared if _is_better(own.added)]
    best = max(better or adding or compared, key=results.score_of)
    example = f"best: {best.name}, {_scored(results, best)}"
    if not better:
        how, why = "and none adds measurably to it", ""
        if adding:
            how, why = f"but {len(adding)} of {len(compared)} add to it", f" {_KEPT_BY_MAPS}"
        return (
            f"No synthetic map predicts {results.name} measurably better than the connectome it "
            f"was made from ({beside}), {how}: {_sets(compared)}; {example}.{why}"
        )
    fair = sum(_is_better(own.over_equal) for own in better)
    return (
        f"{len(better)} of {_sets(compared)} predict {results.name} better than the edges of the "
        f"connectome ({beside}; {example}), {fair} of these with equal degrees of freedom too, and "
        f"{len(adding)} of {len(compared)} add to the edges. {_KEPT_BY_MAPS}"
    )


def _is_better(found: Difference | None) -> bool:
    return found is not None and found.verdict.word == BETTER


def _missing(compared: Sequence[Prediction]) -> str:
    """Say why there is no verdict on features, all of the same people."""
    return next((own.over.verdict.why for own in compared if own.over is not None), "")


def _sets(found: Sequence[Prediction]) -> str:
    kinds = ", ".join(dict.fromkeys(own.words for own in found))
    return f"{counted(len(found), 'set')} of features ({kinds})"


def _edges_scored(results: PhenotypeResults, edges: Prediction) -> str:
    return f"{edges.columns:,} edges: {_scored(results, edges)}"


def _scored(results: PhenotypeResults, found: Prediction) -> str:
    """Format the main score with its interval."""
    value = f"{_short(results.score)} = {figure(results.score_of(found), 2)}"
    if np.isnan(found.interval.low):
        return value
    return f"{value} [{figure(found.interval.low, 2)}, {figure(found.interval.high, 2)}]"


def _short(score: str) -> str:
    return _SHORT.get(score, score.replace("_", " "))


def _beyond_chance(results: PhenotypeResults) -> str:
    parts = []
    for words, found in results.kinds.items():
        sure = sum(own.holds for own in found)
        if sure:
            parts.append(
                words if len(found) == 1 else f"{words} ({sure} of {len(found)} contrasts)"
            )
    return (
        f"Predicted beyond chance (q \N{LESS-THAN OR EQUAL TO} {LARGEST_Q:g}) from "
        f"{'; '.join(parts)}."
    )


def phenotypes_page(
    results: Sequence[PhenotypeResults], *, lead: str, flags: Sequence[Flag], index: str
) -> AnalysisPageFacts:
    """Lay out the page.

    Parameters
    ----------
    results
        Findings for each of the phenotypes.
    lead
        Who and how, after the answers.
    flags
        What a reader must know of the model.
    index
        Address of the output's index.
    """
    return AnalysisPageFacts(
        title="Phenotypes from maps and connectomes",
        lead=f"{_in_short(results)} {lead}",
        flags=[*flags, *_few_people(results)],
        sections=[
            *([_overview(results)] if len(results) > 1 else []),
            *(section for found in results for section in _sections(found)),
            _how_to_read(results),
        ],
        index=index,
    )


def _few_people(results: Sequence[PhenotypeResults]) -> Iterator[Flag]:
    few = sorted({int(found.effective_people) for found in results if found.effective_people < FEW})
    if few:
        most = f"{few[0]} to {few[-1]}" if len(few) > 1 else f"{few[0]}"
        equal = any(found.effective_people < found.people for found in results)
        as_if = ", counted as in equal levels" if equal else ""
        yield Flag("warning", f"Few people ({most}{as_if}): the scores' intervals are wide")


def _in_short(results: Sequence[PhenotypeResults]) -> str:
    """Summarise all phenotypes in a sentence or two."""
    if len(results) == 1:
        return answer(results[0])
    asked = [found for found in results if _is_compared(found)]
    gained = [found.name for found in asked if _gains(found)]
    if not asked:
        return (
            f"{len(results)} phenotypes; of none are there synthetic maps, edges of the connectome "
            f"and {FEWEST} people ({FEWEST_RARER} of each level) to compare."
        )
    unknown = [found.name for found in results if not _is_compared(found)]
    rest = f" There is no verdict on {', '.join(unknown)}." if unknown else ""
    if not gained:
        return (
            f"Synthetic maps predict none of {counted(len(asked), 'phenotype')} measurably better "
            f"than the connectome they were made from, and add nothing measurable to it.{rest}"
        )
    return (
        f"Synthetic maps predict {len(gained)} of {counted(len(asked), 'phenotype')} better than "
        f"the edges of the connectome, or add to these: {', '.join(gained)}.{rest}"
    )


def _is_compared(results: PhenotypeResults) -> bool:
    """Return whether there is a verdict on synthetic maps compared with the edges."""
    beside = (found.over for found in results.predictions if _is_synthetic(found))
    verdicts = [part.verdict for part in beside if part is not None]
    known = any(not too_few(found.people, found.rarer) for found in verdicts)
    return known and not too_few(results.people)


def _gains(results: PhenotypeResults) -> bool:
    """Return whether maps predict a predictable phenotype better than the edges, or add to them."""
    sure = any(found.holds for found in results.predictions)
    parts = [(found.over, found.added) for found in results.predictions if _is_synthetic(found)]
    return sure and any(_is_better(part) for pair in parts for part in pair)


def _is_synthetic(found: Prediction) -> bool:
    return found.features in SYNTHETIC


def _overview(results: Sequence[PhenotypeResults]) -> PageSection:
    columns = (
        "Phenotype",
        "people",
        "score",
        "edges",
        "best of the others",
        "which",
        "beyond chance",
    )
    rows = [_overview_row(found) for found in results]
    caption = "Each phenotype: what the connectome's edges predict, and the best of all others"
    return PageSection("All phenotypes", tables=(Table(caption, columns, rows),))


def _overview_row(results: PhenotypeResults) -> Sequence[Cell]:
    edges = results.edges
    others = [own for own in results.predictions if own.features != EDGES]
    best = max(others, key=results.score_of) if others else None
    sure = sum(own.holds for own in results.predictions)
    return (
        results.name,
        results.people,
        _short(results.score),
        None if edges is None else _main_cell(results, edges),
        None if best is None else _main_cell(results, best),
        "" if best is None else f"{best.features}, {best.contrast}",
        f"{sure} of {counted(len(results.predictions), 'set')}",
    )


def _main_cell(results: PhenotypeResults, found: Prediction) -> Cell:
    return (results.score_of(found), found.interval.low, found.interval.high)


def _how_to_read(results: Sequence[PhenotypeResults]) -> PageSection:
    meanings = {name: words for found in results for name, words in found.score_words.items()}
    scores = [(_short(name), words) for name, words in meanings.items()]
    return PageSection(
        "How to read the figures",
        template="phenotypes_how.html",
        facts={"scores": scores, "rule": RULE},
    )


def _sections(results: PhenotypeResults) -> Iterator[PageSection]:
    yield PageSection(
        results.name,
        (answer(results), *results.notes),
        tables=(_summary(results),),
        scatters=tuple(_scatters(results)),
        pictures=tuple(_weights(results)),
    )
    for found in results.kinds.values():
        if len(found) > 1:
            yield PageSection(
                f"{results.name}: {found[0].words}", tables=(_contrasts(results, found),)
            )


def _weights(results: PhenotypeResults) -> Iterator[Pictures]:
    if results.pictures:
        yield Pictures(
            f"How features change with fitted {results.name} (weights after Haufe), of the best "
            "prediction of each set that is beyond chance",
            results.pictures,
        )


def _summary(results: PhenotypeResults) -> Table:
    names = list(results.score_words)
    rows: list[Sequence[Cell]] = []
    for words, scores in results.baselines.items():
        rows.append((words, *(scores.get(name) for name in names), *[None] * 6))
    for found in results.kinds.values():
        if len(found) == 1:
            rows.append((found[0].words, *_cells(results, found[0], names)))
        else:
            rows.append((f"{found[0].words}, median of {len(found)}", *_medians(found, names)))
            best = max(found, key=results.score_of)
            rows.append((f"{found[0].words}, best: {best.title}", *_cells(results, best, names)))
    return Table(
        f"Accuracy of the prediction of {results.name} in held-out people",
        ("Features", *map(_short, names), *_COLUMNS),
        rows,
    )


_COLUMNS = (
    "p",
    "q",
    "permuted",
    "published penalty",
    "minus edges",
    "added to edges",
)


def _cells(results: PhenotypeResults, found: Prediction, names: Sequence[str]) -> list[Cell]:
    scores: list[Cell] = [
        _main_cell(results, found) if name == results.score else found.nested.scores.get(name)
        for name in names
    ]
    return [
        *scores,
        found.nested.p,
        found.nested.q,
        found.nested.chance,
        found.published.scores[results.score],
        None if found.over is None else found.over.cell,
        None if found.added is None else found.added.cell,
    ]


def _medians(found: Sequence[Prediction], names: Sequence[str]) -> list[Cell]:
    scores: list[Cell] = [
        float(np.median([own.nested.scores[name] for own in found])) for name in names
    ]
    return [*scores, *[None] * len(_COLUMNS)]


def _contrasts(results: PhenotypeResults, found: Sequence[Prediction]) -> Table:
    rows = [
        (
            own.title,
            *_cells(results, own, [results.score])[:3],
            *_difference(own.over),
            *_difference(own.over_equal),
            *_difference(own.added),
        )
        for own in sorted(found, key=results.score_of, reverse=True)
    ]
    columns = (
        *("Contrast", _short(results.score), "p", "q"),
        *("minus edges", "verdict"),
        *("minus edges, equal dof", "verdict, equal dof"),
        *("added to edges", "verdict, added"),
    )
    known = any(own.over is not None for own in found)
    return Table(
        f"{results.name} from {found[0].words}, a row a contrast",
        columns if known else columns[:4],
        rows if known else [row[:4] for row in rows],
    )


def _difference(found: Difference | None) -> tuple[Cell, Cell]:
    return (None, None) if found is None else (found.cell, found.verdict.word)


def _scatters(results: PhenotypeResults) -> Iterator[Scatter]:
    if results.levels:
        return
    others = [own for own in results.predictions if own.features != EDGES]
    chosen = [] if results.edges is None else [results.edges]
    chosen += [max(others, key=results.score_of)] if others else []
    for found in chosen:
        yield Scatter(
            f"{found.name}: {_scored(results, found)}.",
            f"{results.name}, measured",
            "predicted, mean over repeats",
            found.points,
            identity=True,
        )
