"""The page of associations: each phenotype in sentences, tables and charts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.notices import counted, named
from bids_dtg.report.numbers import Cell, figure
from bids_dtg.report.pages.analysis import PageSection, Pictures, Scatter, Table
from bids_dtg.stats.cohort.association import ColumnTests, CorrectedTests
from bids_dtg.stats.verdict import too_few

_OF_MAPS = ("region", "voxel")  # units of features that are maps, or made of them
EDGES = "edges"  # features that maps are predicted from: others are compared with them
LEVEL = 0.05  # of the false discovery rate and of the family-wise error
# Most names of columns on the page, for each phenotype and kind of features.
_SHOWN = 15
_POINTS = 300  # of a chart of p-values
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ContrastAssociations:
    """Tests of the columns of one contrast."""

    contrast: str  # label; empty: none
    people: int
    names: Sequence[str]  # of the columns
    tests: ColumnTests
    corrected: CorrectedTests
    dropped: int = 0  # columns left out, as a participant has no value there

    @property
    def strongest(self) -> int | None:
        """Position of the largest |r|; None: no column could be tested."""
        size = np.abs(self.tests.r)
        return int(np.nanargmax(size)) if np.isfinite(size).any() else None

    def certainty(self, unit: str) -> tuple[NDArray[np.bool_], str]:
        """Return the columns with a family-wise p of 0.05 or less, and how many in words."""
        p = self.corrected.p_fwe
        if too_few(self.people) or not np.isfinite(p).any():
            return np.zeros(len(p), bool), "no verdict, so nothing is outlined"
        certain = p <= LEVEL
        number = int(certain.sum())
        words = counted(number, unit) if number else f"no {unit}"
        return certain, f"{words} with family-wise p of {LEVEL:g} or less"


@dataclass(frozen=True, eq=False)
class FeatureAssociations:
    """Tests of all contrasts of one kind of features, which are corrected together."""

    kind: str  # a value of --feature-sets
    words: str  # plural, in a sentence
    unit: str  # of a column: region, voxel, edge
    contrasts: Sequence[ContrastAssociations]
    no_q: str = ""  # why there is no false discovery rate; empty: there is
    unfair: str = ""  # why nothing at all is corrected; empty: it is
    pictures: dict[str, bytes] = field(default_factory=dict)  # PNG files, by name
    # Whether sentences count its discoveries: there is something in it, with all sets and
    # phenotypes of the page as tests.
    holds: bool = False

    @property
    def people(self) -> int:
        """Number of people in the contrast with most."""
        return max(found.people for found in self.contrasts)

    @property
    def tests(self) -> int:
        """How many columns of all contrasts were tested."""
        return int(np.isfinite(self._together("r")).sum())

    @property
    def discoveries(self) -> int:
        """Number of tests at a false discovery rate of 5 %; none where nothing holds."""
        return self.holds * sum(int((x.corrected.q <= LEVEL).sum()) for x in self.contrasts)

    @property
    def p_anything(self) -> float:
        """P of there being anything at all among all tests; NaN without a false discovery rate."""
        return self.contrasts[0].corrected.p_anything

    @property
    def certain(self) -> int:
        """Number of tests at a family-wise error of 5 %."""
        return sum(int((found.corrected.p_fwe <= LEVEL).sum()) for found in self.contrasts)

    @property
    def by_chance(self) -> float:
        """Median over permutations of the largest |r|; NaN without permutations."""
        largest = np.max([found.tests.largest for found in self.contrasts], axis=0)
        return float(np.median(largest)) if len(largest) else float("nan")

    @property
    def strongest(self) -> tuple[ContrastAssociations, int] | None:
        """Contrast and position of the largest |r|; None: nothing could be tested."""
        known = [
            (found, place) for found in self.contrasts if (place := found.strongest) is not None
        ]
        return max(known, key=lambda one: abs(one[0].tests.r[one[1]]), default=None)

    def ranked(self, number: int) -> Iterator[tuple[ContrastAssociations, int]]:
        """Yield contrast and position of the columns with the largest |r|, in descending order."""
        sizes = np.nan_to_num(np.abs(self._together("r")), nan=-1.0)
        starts = np.cumsum([0, *(len(found.tests.r) for found in self.contrasts)])
        first = np.argpartition(-sizes, min(number, len(sizes)) - 1)[:number]
        for position in first[np.argsort(-sizes[first], kind="stable")]:
            if sizes[position] >= 0:
                contrast = int(np.searchsorted(starts, position, side="right")) - 1
                yield self.contrasts[contrast], int(position - starts[contrast])

    def p(self) -> Floats:
        """Return p of t of all columns that were tested, sorted."""
        found = self._together("p")
        return np.sort(found[np.isfinite(found)])

    def _together(self, name: str) -> Floats:
        return np.concatenate([getattr(found.tests, name) for found in self.contrasts])


@dataclass(frozen=True, eq=False)
class PhenotypeAssociations:
    """Findings of a phenotype."""

    name: str
    features: Sequence[FeatureAssociations]
    notes: Sequence[str] = ()  # on participants and permutations: sentences

    @property
    def enough(self) -> bool:
        """Whether there are enough participants for a verdict."""
        return not too_few(self.people)

    @property
    def no_q(self) -> str:
        """Why there is no false discovery rate of any features; empty: there is."""
        return next((x.no_q for x in self.features), "") * all(x.no_q for x in self.features)

    @property
    def people(self) -> int:
        """Largest number of people of any features."""
        return max(found.people for found in self.features)


def judged_together(phenotypes: Sequence[PhenotypeAssociations]) -> list[PhenotypeAssociations]:
    """Note which features of which phenotypes hold, with all of them as tests.

    Notes
    -----
    Holm 1979, Scand. J. Stat. 6: 65, of the p that there is anything at all.
    """
    p = sorted(
        (found.p_anything, number, place)
        for number, phenotype in enumerate(phenotypes)
        for place, found in enumerate(phenotype.features)
        if phenotype.enough and not found.no_q
    )
    holding = set[tuple[int, int]]()
    for rank, (value, number, place) in enumerate(p):
        if value * (len(p) - rank) > LEVEL:
            break
        holding.add((number, place))
    return [
        replace(
            phenotype,
            features=[
                replace(found, holds=(number, place) in holding)
                for place, found in enumerate(phenotype.features)
            ],
        )
        for number, phenotype in enumerate(phenotypes)
    ]


def answer(phenotype: PhenotypeAssociations) -> str:
    """Summarise a phenotype's associations in a sentence, edges of the connectome last."""
    if not phenotype.enough:
        few = too_few(phenotype.people)
        return f"{phenotype.name}: {few[:1].lower()}{few[1:]}."
    edges_last = sorted(phenotype.features, key=lambda found: found.kind == EDGES)
    return f"{phenotype.name}: {'; '.join(map(_found, edges_last))}."


def _found(found: FeatureAssociations) -> str:
    if (best := found.strongest) is None:
        return f"{found.words}: nothing could be tested"
    contrasts, tests = len(found.contrasts), f"{found.tests:,} test{'s' * (found.tests != 1)}"
    of = f" in {contrasts} contrasts" if contrasts > 1 else ""
    number = f"{found.discoveries:,}" if found.discoveries else "none"
    strongest = f"strongest r {figure(float(best[0].tests.r[best[1]]), 2)}"
    if found.unfair:
        return f"{found.words}: {tests}{of}, of which nothing is corrected: {found.unfair}"
    if found.no_q:
        return f"{found.words}: {tests}{of} without a false discovery rate, {strongest}"
    return (
        f"{found.words}: {number} of {tests}{of} at q \N{LESS-THAN OR EQUAL TO} {LEVEL:g}, "
        f"{strongest}"
    )


def lead(phenotypes: Sequence[PhenotypeAssociations], people: int) -> str:
    """Summarise the findings and the participants in a sentence or two."""
    judged = [found for found in phenotypes if found.enough]
    related = [found.name for found in judged if any(f.discoveries for f in found.features)]
    how = "a linear model a test, permuted after Freedman and Lane"
    who = f"{counted(people, 'participant')}; {how}."
    if not judged:
        return f"{too_few(max(found.people for found in phenotypes))}. {who}"
    of = f"of {counted(len(judged), 'phenotype')}"
    if all(found.no_q for found in judged):
        return f"There is no false discovery rate: {judged[0].no_q}. {who}"
    if not related:
        return f"Nothing is associated with any {of}, at a false discovery rate of 5 %. {who}"
    return (
        f"Something is associated with {len(related)} {of}, at a false discovery rate of 5 %: "
        f"{named(related)}. {who}"
    )


def overview(phenotypes: Sequence[PhenotypeAssociations], left_out: Sequence[str]) -> PageSection:
    """Return the section with all answers, and the averages of maps left out."""
    answers = [answer(found) for found in phenotypes]
    if left_out:
        answers.append(
            f"Left out: {counted(len(left_out), 'average')} of maps ({named(left_out)})."
        )
    return PageSection("What was found", answers)


def section(phenotype: PhenotypeAssociations) -> PageSection:
    """Return the section of a phenotype."""
    shown = [found for found in phenotype.features if found.strongest is not None]
    beside = _beside_edges(phenotype)
    return PageSection(
        phenotype.name,
        template="associate_edges.html" if beside else "",
        facts=beside,
        text=phenotype.notes,
        tables=[
            _side_by_side(phenotype),
            *(_strongest(found) for found in shown),
            *_counts(shown if phenotype.enough else ()),
        ],
        scatters=[_against_chance(shown)] if shown else [],
        pictures=[
            Pictures(
                f"Partial correlations of {found.words}, the strongest contrast: all of them, "
                f"without any threshold. Black lines are around {found.unit}s with a family-wise p "
                f"of {LEVEL:g} or less; without one, the colours are no findings.",
                found.pictures,
            )
            for found in shown
            if found.pictures
        ],
    )


def _beside_edges(phenotype: PhenotypeAssociations) -> Mapping[str, Any]:
    """Return discoveries of maps and of the connectome's edges, where these can be compared."""
    edges = next((found for found in phenotype.features if found.kind == EDGES), None)
    made = [
        found
        for found in phenotype.features
        if found.kind not in (EDGES, "measured") and found.unit in _OF_MAPS
    ]
    if not phenotype.enough or not made:
        return {}
    if edges is None:
        return {"edges": None}
    if edges.no_q or all(one.no_q for one in made):
        return {}
    maps = sum(one.discoveries for one in made)
    return {"name": phenotype.name, "edges": edges.discoveries, "maps": maps}


def _side_by_side(phenotype: PhenotypeAssociations) -> Table:
    rows = list[Sequence[Cell]]()
    for found in phenotype.features:
        best = found.strongest
        r = abs(float(best[0].tests.r[best[1]])) if best else None
        share = None if found.no_q else 100 * found.discoveries / max(found.tests, 1)
        certain = None if found.unfair else found.certain
        verdicts = (share, certain) if phenotype.enough else (None, None)
        rows.append([found.words, found.people, found.tests, *verdicts, r, found.by_chance])
    compared = any(found.unit in _OF_MAPS for found in phenotype.features)
    return Table(
        "Features"
        + ", compared with the edges of the connectome that maps are predicted from" * compared,
        [
            "",
            "participants",
            "tests",
            "% at q \N{LESS-THAN OR EQUAL TO} 0.05",
            "tests at family-wise p \N{LESS-THAN OR EQUAL TO} 0.05",
            "strongest |r|",
            "by chance",
        ],
        rows,
        notes=[
            "By chance: the median over permutations of the strongest |r| of as many tests. q and "
            "family-wise p are over all tests of a row. q counts where permutations show that "
            "there is anything at all, with all features and phenotypes of this page as tests."
        ],
    )


def _strongest(found: FeatureAssociations) -> Table:
    rows = list[Sequence[Cell]]()
    for own, place in found.ranked(_SHOWN):
        name = f"{own.contrast}: {own.names[place]}" if own.contrast else own.names[place]
        tests, corrected = own.tests, own.corrected
        values = (tests.r, tests.t, tests.p, tests.p_permuted, corrected.q, corrected.p_fwe)
        rows.append([name, own.people, *(float(column[place]) for column in values)])
    return Table(
        f"The strongest of {found.words}",
        [
            found.unit,
            "participants",
            "partial r",
            "t",
            "p of t",
            "p of permutations",
            "q",
            "family-wise p",
        ],
        rows,
        notes=[*_on_q(found), *_on_places(found)],
    )


def _on_q(found: FeatureAssociations) -> Iterator[str]:
    if not found.no_q:
        yield (
            "q is counted in the permutations: how many tests reach an |r| in them, beside how "
            "many do in the data. p of t is as if people were unrelated and normal."
        )


def _on_places(found: FeatureAssociations) -> Iterator[str]:
    if found.unit == "region" and not found.pictures:
        yield (
            "Where these regions lie is not known here: --atlases with the atlas' file shows them "
            "on a brain."
        )


def _counts(shown: Sequence[FeatureAssociations]) -> Iterator[Table]:
    for found in shown:
        if len(found.contrasts) < 2:
            continue
        rows = list[Sequence[Cell]]()
        for own in found.contrasts:
            if (place := own.strongest) is not None:
                r = float(own.tests.r[place])
                many = None if found.no_q else int((own.corrected.q <= LEVEL).sum())
                q = None if found.no_q else float(np.nanmin(own.corrected.q))
                rows.append([own.contrast, many, r, own.names[place], q])
        yield Table(
            f"By contrast: {found.words}",
            [
                "contrast",
                f"{found.unit}s at q \N{LESS-THAN OR EQUAL TO} 0.05",
                "strongest r",
                found.unit,
                "least q",
            ],
            rows,
        )


def _against_chance(shown: Sequence[FeatureAssociations]) -> Scatter:
    points, groups = [], []
    for found in shown:
        p = found.p()
        # All of the smallest, and fewer and fewer of the larger ones.
        ranks = np.unique(np.geomspace(1, len(p), _POINTS).round().astype(int)) - 1
        expected = (ranks + 0.5) / len(p)
        points.append(-np.log10(np.column_stack([expected, p[ranks]])))
        groups += [found.words] * len(ranks)
    minus = "\N{MINUS SIGN}log10 p"
    return Scatter(
        "p of t compared with that of unrelated tests by chance. These tests go together, so that "
        "a whole curve lies above or below the line without any association, and all the more "
        "where people are related, of several sites, or of unequal scales. It is no test.",
        f"{minus}, by chance",
        f"{minus}, found",
        np.concatenate(points),
        groups=groups,
        identity=True,
    )
