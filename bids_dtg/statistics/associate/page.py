"""The page of associations: each phenotype in sentences, tables and charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bids_dtg.notices import counted, named
from bids_dtg.report.numbers import Cell, figure
from bids_dtg.report.pages.analysis import PageSection, Pictures, Scatter, Table
from bids_dtg.stats.cohort.association import ColumnTests, CorrectedTests
from bids_dtg.stats.verdict import too_few

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


@dataclass(frozen=True, eq=False)
class FeatureAssociations:
    """Tests of all contrasts of one kind of features, which are corrected together."""

    kind: str  # a value of --feature-sets
    words: str  # plural, in a sentence
    unit: str  # of a column: region, voxel, edge
    contrasts: Sequence[ContrastAssociations]
    pictures: dict[str, bytes] = field(default_factory=dict)  # PNG files, by name

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
        """Number of tests at a false discovery rate of 5 %."""
        return sum(int((found.corrected.q <= LEVEL).sum()) for found in self.contrasts)

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
        """Return the p-values of all columns that were tested, sorted."""
        found = self._together("p_fitted")
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
    def people(self) -> int:
        """Largest number of people of any features."""
        return max(found.people for found in self.features)


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
    return (
        f"{found.words}: {number} of {tests}{of} at q \N{LESS-THAN OR EQUAL TO} {LEVEL:g}, "
        f"strongest r {figure(float(best[0].tests.r[best[1]]), 2)}"
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
    return PageSection(
        phenotype.name,
        text=[*_beside_edges(phenotype), *phenotype.notes],
        tables=[
            _side_by_side(phenotype),
            *(_strongest(found) for found in shown),
            *_counts(shown if phenotype.enough else ()),
        ],
        scatters=[_against_chance(shown)] if shown else [],
        pictures=[
            Pictures(
                f"Partial correlations of {found.words}, the strongest contrast", found.pictures
            )
            for found in shown
            if found.pictures
        ],
    )


def _beside_edges(phenotype: PhenotypeAssociations) -> Iterator[str]:
    """Say what associations of maps add to those of the connectome's edges."""
    edges = next((found for found in phenotype.features if found.kind == EDGES), None)
    made = [found for found in phenotype.features if found.kind not in (EDGES, "measured")]
    if not phenotype.enough or not made:
        return
    if edges is None:
        yield "There are no edges of the connectome to compare these associations with."
        return
    found = sum(one.discoveries for one in made)
    if not found and not edges.discoveries:
        yield (
            f"Nothing is associated with {phenotype.name} at a false discovery rate of 5 %: "
            "neither what was predicted nor the edges of the connectome behind it."
        )
    elif found and edges.discoveries:
        yield (
            "Predicted maps are made of the connectome alone, whose edges are associated with "
            f"{phenotype.name}, too: the maps add no information to the connectome."
        )
    elif found:
        yield (
            "Single edges of the connectome are not associated with it at this rate; predicted "
            "maps put many edges together, and hold nothing that the connectome does not."
        )
    else:
        yield (
            f"Edges of the connectome are associated with {phenotype.name}, and the maps "
            "predicted from them are not: the maps add nothing here."
        )


def _side_by_side(phenotype: PhenotypeAssociations) -> Table:
    rows = list[Sequence[Cell]]()
    for found in phenotype.features:
        best = found.strongest
        r = abs(float(best[0].tests.r[best[1]])) if best else None
        share = 100 * found.discoveries / max(found.tests, 1)
        verdicts = (share, found.certain) if phenotype.enough else (None, None)
        rows.append([found.words, found.people, found.tests, *verdicts, r, found.by_chance])
    return Table(
        "Features, compared with the edges of the connectome that maps are predicted from",
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
            "family-wise p are over all tests of a row."
        ],
        highlight=[found.words for found in phenotype.features if found.kind == EDGES],
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
        notes=[
            "q is that of p-values by the distribution fitted to the permutations: counted ones "
            "have a smallest value."
        ]
        if np.isfinite(found.by_chance)
        else (),
    )


def _counts(shown: Sequence[FeatureAssociations]) -> Iterator[Table]:
    for found in shown:
        if len(found.contrasts) < 2:
            continue
        rows = list[Sequence[Cell]]()
        for own in found.contrasts:
            if (place := own.strongest) is not None:
                r, q = float(own.tests.r[place]), float(np.nanmin(own.corrected.q))
                many = int((own.corrected.q <= LEVEL).sum())
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
        "p-values compared with chance: above the line they are smaller than by chance.",
        f"{minus}, by chance",
        f"{minus}, found",
        np.concatenate(points),
        groups=groups,
        identity=True,
    )
