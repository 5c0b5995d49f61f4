"""The findings of a call: tables, page, and a summary in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.notices import counted, named
from bids_dtg.report.flags import Flag
from bids_dtg.report.glass_brain import LEAST_Z_LIMIT, draw_glass_brain
from bids_dtg.report.numbers import NOT_KNOWN, Cell, figure
from bids_dtg.report.pages.analysis import AnalysisPageFacts, PageSection, Pictures, Table
from bids_dtg.statistics.group_maps.comparison import (
    COMPARISON,
    Compared,
    compare,
    mean_of_known,
)
from bids_dtg.statistics.group_maps.map_tests import Tested
from bids_dtg.statistics.group_maps.question import (
    MEASURED,
    Question,
)
from bids_dtg.stats.cohort.peaks import Peak
from bids_dtg.stats.cohort.second_level import ALPHA
from bids_dtg.stats.verdict import FEWEST, too_few

_SIGNIFICANT = "voxels with p of 0.05 or less, corrected for all voxels of the map"
_PEAKS_A_CONTRAST, _MOST_PEAKS = 3, 60  # on the page; the table has all
_EVIDENCE = (
    "A test over predicted maps is no evidence of activation in these people: all maps come from "
    "one model, so the test measures how certain the model's mean prediction is."
)
TESTS = (
    Column("features", "What was tested: a value of --feature-sets"),
    Column("contrast", "Contrast of the maps"),
    Column("participants", "Participants in this test"),
    Column("voxels", "Voxels that were tested: all participants have a value there"),
    Column("largest_z", "z farthest from 0"),
    Column("x_mm", "Position of that voxel, RAS+"),
    Column("y_mm", "Position of that voxel, RAS+"),
    Column("z_mm", "Position of that voxel, RAS+"),
    Column("region", "Region of that voxel; near NAME: within 10 mm of it"),
    Column("p_fwe", "Smallest p of a voxel, corrected for all voxels of the map"),
    Column("p_fwe_contrasts", "p_fwe times the number of rows here (Bonferroni), at most 1"),
    Column("voxels_fwe", "Voxels with p of at most 0.05, corrected for all voxels"),
    Column(
        "voxels_fdr",
        "Voxels at a false discovery rate of 5 % over the voxels of the map, by the permutations",
    ),
    Column("voxels_tfce", "Voxels with a corrected p of 0.05 or less by cluster enhancement"),
    Column("clusters", "Clusters of the significant voxels (voxels_fwe)"),
    Column("between_people_sd", "Standard deviation between people, root mean square over voxels"),
    Column("mean_size", "Root mean square over voxels of the mean map"),
)
PEAKS = (
    *TESTS[:2],
    Column("x_mm", "Position of the cluster's peak, RAS+"),
    Column("y_mm", "Position of the cluster's peak, RAS+"),
    Column("z_mm", "Position of the cluster's peak, RAS+"),
    Column("largest_z", "z of the peak"),
    Column("size_mm3", "Size of the cluster"),
    Column("region", "Region of the peak; near NAME: within 10 mm of it"),
)


@dataclass(frozen=True, eq=False)
class Findings:
    """All findings of a call."""

    question: Question
    tested: Sequence[Tested]
    compared: Sequence[Compared]

    @classmethod
    def of(cls, question: Question, tested: Sequence[Tested]) -> Findings:
        """Comparisons of predicted with measured maps, if both were tested."""
        return cls(question, tested, compare(tested))

    @property
    def kinds(self) -> list[str]:
        """The tested kinds, values of --feature-sets."""
        return list(dict.fromkeys(each.kind for each in self.tested))

    def of_kind(self, kind: str) -> list[Tested]:
        """Return the tests of one kind, a contrast each."""
        return [each for each in self.tested if each.kind == kind]

    def mean(self, name: str) -> float:
        """Return the mean over contrasts of a column of the comparison."""
        return mean_of_known([each.figures[name] for each in self.compared])

    @property
    def enough(self) -> bool:
        """Whether all tests have enough people for a verdict."""
        return min(each.people for each in self.tested) >= FEWEST

    @property
    def permuted(self) -> bool:
        """Whether p is corrected by permutations."""
        return bool(self.question.people.settings.statistics.map_permutations)

    def write(self, results: ResultFolder) -> None:
        """Write the tables."""
        rows = [self._row(each) for each in self.tested]
        words = "A row a kind of map and contrast"
        results.table("desc-tests_contrasts", ResultTable(TESTS, rows, words))
        peaks = [
            {
                "features": each.kind,
                "contrast": each.contrast,
                "x_mm": peak.x,
                "y_mm": peak.y,
                "z_mm": peak.z,
                "largest_z": peak.value,
                "size_mm3": peak.size_mm3,
                "region": peak.region or None,
            }
            for each in self.tested
            for peak in each.peaks
        ]
        words = f"Clusters of {_SIGNIFICANT}, a row each, the strongest first"
        results.table("desc-clusters_peaks", ResultTable(PEAKS, peaks, words))
        if self.compared:
            words = "The group's predicted map compared with its measured one, a row a contrast"
            beside = [{"contrast": each.contrast, **each.figures} for each in self.compared]
            results.table("desc-measured_comparison", ResultTable(COMPARISON, beside, words))

    def _row(self, each: Tested) -> dict[str, Cell]:
        strongest = float(each.z[np.argmax(np.abs(each.z))])
        found: dict[str, Cell] = {
            "features": each.kind,
            "contrast": each.contrast,
            "participants": each.people,
            "voxels": each.places.number,
            "largest_z": strongest,
            "x_mm": each.strongest[0],
            "y_mm": each.strongest[1],
            "z_mm": each.strongest[2],
            "region": each.region or None,
            "between_people_sd": each.spread.between_people,
            "mean_size": each.spread.of_mean,
        }
        found |= {"voxels_tfce": each.tfce} if each.tfce is not None else {}
        found |= {"voxels_fdr": each.discoveries} if each.discoveries is not None else {}
        if np.isfinite(each.smallest_p):
            found |= {
                "p_fwe": each.smallest_p,
                "p_fwe_contrasts": self._p_of_all(each),
                "voxels_fwe": int(each.significant.sum()),
                "clusters": len(each.peaks),
            }
        return found

    def _p_of_all(self, each: Tested) -> float:
        """Return the smallest p of a test, corrected for all voxels and all tests of the call."""
        return min(1.0, each.smallest_p * len(self.tested))

    @property
    def answer(self) -> str:
        """The answer in a sentence or two."""
        given = ", ".join(self.question.given)
        beside = f", given {given}" if given else ""
        sentences = [f"Tested: {self.question.words}{beside}."]
        sentences += [self._answer_of(kind) for kind in self.kinds]
        if self.compared:
            sentences.append(self._similarity)
        return " ".join(sentences)

    @property
    def _similarity(self) -> str:
        """Say how similar the group maps are, compared with known references."""
        references = (
            ("another measured group of as many people would correlate with r", "r_other_group"),
            ("other contrasts' predicted maps do with", "r_other_contrast"),
        )
        known = [
            f"{words} {figure(self.mean(name), 2)}"
            for words, name in references
            if not np.isnan(self.mean(name))
        ]
        beside = f"; {', '.join(known)}" if known else ""
        return (
            "Group maps of predicted and measured maps correlate with r "
            f"{figure(self.mean('r'), 2)} (mean over {counted(len(self.compared), 'contrast')})"
            f"{beside}."
        )

    def _answer_of(self, kind: str) -> str:
        own = self.of_kind(kind)
        people = counted(max(each.people for each in own), "participant")
        words = self._words(kind)
        what = f"{words[0].upper()}{words[1:]} of {people}"
        if not self.enough:
            few = too_few(min(each.people for each in self.tested))
            return f"{what}: {few[:1].lower()}{few[1:]}."
        if not self.permuted:
            return f"{what}: no permutation was asked for, so no voxel is called significant."
        some = [each for each in own if self._p_of_all(each) <= ALPHA]
        by = "(family-wise 5 % over the voxels of all maps of this page)"
        unfair = [each for each in own if each.unfair]
        if len(unfair) == len(own):
            return f"{what}: nothing is corrected, so no voxel is called significant."
        without = f"; nothing is corrected of {len(unfair)} of them" if unfair else ""
        if not some:
            return f"{what}: no voxel of any contrast is significant {by}{without}."
        number = counted(len(own), "contrast")
        return f"{what}: {len(some)} of {number} with significant voxels {by}{without}."

    def _words(self, kind: str) -> str:
        return self.question.people.feature_kinds[kind].words

    def page(self) -> AnalysisPageFacts:
        """Return what the page shows."""
        people = self.question.people
        return AnalysisPageFacts(
            title=f"Group maps: {self.question.kind}",
            lead=self.answer,
            flags=[*self._honest(), *self._unfair(), *self._without_sites(), *people.flags],
            sections=[
                PageSection(
                    "What was tested", template="group_maps_method.html", facts=self._method()
                ),
                *self._comparison(),
                *(self._kind_section(kind) for kind in self.kinds),
            ],
            index="../../index.html",
        )

    def _unfair(self) -> Iterator[Flag]:
        """Name contrasts whose maps' sizes go with what is tested."""
        if unfair := [each for each in self.tested if each.unfair]:
            yield Flag(
                "warning",
                f"Of {named([each.contrast for each in unfair])} nothing is corrected: "
                f"{unfair[0].unfair}. A group of larger maps has larger means by chance, which no "
                "permutation of participants shows. Where the sizes go with motion or site, give "
                "them as --covariates.",
            )

    def _without_sites(self) -> Iterator[Flag]:
        """Warn where people are of several sites that cannot be taken out."""
        if why := self.question.no_sites:
            yield Flag(
                "warning",
                f"The participants are of several sites, and {why}. What differs between sites "
                "may be taken for what is tested.",
            )

    def _honest(self) -> Iterator[Flag]:
        predicted = [each for each in self.tested if each.kind != MEASURED]
        if not predicted:
            return
        text = _EVIDENCE
        if self.compared:
            ratio, t = self.mean("sd_ratio"), self.mean("t_ratio")
            text += (
                f" Here the standard deviation between people of predicted maps is "
                f"{figure(ratio, 2)} of that of their measured maps, and absolute t is on average "
                f"{figure(t, 1)} times as large."
            )
        else:
            share = mean_of_known(
                [e.spread.between_people / e.spread.of_mean for e in predicted if e.spread.of_mean]
            )
            text += (
                f" The standard deviation between people is {figure(share, 2)} times the size of "
                "the mean map here; that of measured maps is larger, and t smaller "
                "(--derivatives statmaps=PATH compares them)."
            )
        yield Flag("warning", text)

    def _method(self) -> dict[str, Any]:
        """Return what the words on the method ask for."""
        people = self.question.people
        return {
            "question": self.question,
            "people": people,
            "number": counted(len(people), "participant"),
            "enough": self.enough,
            "first": min(self.tested, key=lambda each: bool(each.unfair)),
            "tests": len(self.tested),
        }

    def _comparison(self) -> Iterator[PageSection]:
        if not self.compared:
            return

        def means(*names: str | None) -> list[Cell]:
            return [None if name is None else self.mean(name) for name in names]

        summary = Table(
            caption="The group's measured map compared with others, mean over contrasts",
            columns=("compared with", "r", "Dice AUC", "Dice"),
            rows=[
                ("predicted group map", *means("r", "dice_auc", "dice")),
                ("another measured group", *means("r_other_group", None, None)),
                ("half of the group, with the other", *means("r_half", "dice_auc_half", None)),
                (
                    "other contrasts' predicted maps",
                    *means("r_other_contrast", "dice_auc_other_contrast", "dice_other_contrast"),
                ),
            ],
            highlight=(
                "another measured group",
                "half of the group, with the other",
                "other contrasts' predicted maps",
            ),
            notes=(
                "Another measured group of as many people is what can be reached: of halves of "
                "these people, stepped up. Other contrasts' maps are what a map of the wrong task "
                "reaches. Dice is of significant voxels with their sign: predicted maps have too "
                "many, as people differ too little in them. Dice AUC is of the strongest 5 to "
                "50 %.",
            ),
        )
        names = ("r", "r_other_group", "r_other_contrast", "r_t", "dice_auc", "dice")
        more = ("cluster_recall", "cluster_precision", "sd_ratio", "t_ratio")
        detail = Table(
            caption="Predicted and measured group maps",
            columns=(
                *("contrast", "r", "r of another group", "r of other contrasts", "r of t"),
                *("Dice AUC", "Dice", "measured clusters found", "predicted clusters confirmed"),
                *("sd, share", "t, times"),
            ),
            rows=[
                (each.contrast, *(each.figures[name] for name in (*names, *more)))
                for each in self.compared
            ],
            notes=("Clusters count where the other map has half of their voxels or more.",),
        )
        yield PageSection("Predicted and measured maps", tables=[summary, detail])

    def _kind_section(self, kind: str) -> PageSection:
        own, words = self.of_kind(kind), self._words(kind)
        return PageSection(
            f"{words[0].upper()}{words[1:]}",
            tables=[self._tests_table(own, words), self._peaks_table(own)],
            pictures=list(self._pictures(own)),
        )

    def _peaks_table(self, own: Sequence[Tested]) -> Table:
        """Return the strongest clusters; without rows, it is not shown."""
        strongest = [
            (each.contrast, peak) for each in own for peak in each.peaks[:_PEAKS_A_CONTRAST]
        ][:_MOST_PEAKS]
        number = sum(len(each.peaks) for each in own)
        return Table(
            caption=f"Clusters of {_SIGNIFICANT}",
            columns=("contrast", "peak, mm", "region", "z", "size, mm³"),
            rows=[
                (contrast, _where(peak), peak.region or NOT_KNOWN, peak.value, peak.size_mm3)
                for contrast, peak in strongest
            ],
            notes=(
                f"{len(strongest)} of {number}, up to {_PEAKS_A_CONTRAST} a contrast; all are in "
                "desc-clusters_peaks.tsv.",
            ),
        )

    def _tests_table(self, own: Sequence[Tested], words: str) -> Table:
        columns = {
            "participants": "participants",
            "largest_z": "largest z",
            "p_fwe": "p (FWE)",
            "p_fwe_contrasts": "p, all contrasts",
            "voxels_fwe": "voxels (FWE)",
            "voxels_fdr": "voxels (FDR)",
            "voxels_tfce": "voxels (TFCE)",
            "clusters": "clusters",
            "between_people_sd": "sd between people",
            "mean_size": "size of the mean map",
        }
        rows = [self._row(each) for each in own]
        there = [name for name in columns if any(row.get(name) is not None for row in rows)]
        return Table(
            caption=f"Tests of {words}",
            columns=("contrast", *(columns[name] for name in there)),
            rows=[
                (each.contrast, *(row.get(name) for name in there))
                for each, row in zip(own, rows, strict=True)
            ],
        )

    def _pictures(self, own: Sequence[Tested]) -> Iterator[Pictures]:
        """Draw all of each map of z on one scale, with lines around significant voxels."""
        limit = max(LEAST_Z_LIMIT, *(float(np.nan_to_num(np.abs(each.z)).max()) for each in own))
        drawn: dict[str, bytes] = {}
        for each in own:
            picture = draw_glass_brain(
                each.z, each.places, title="", outlined=each.significant, units="z", limit=limit
            )
            if picture is not None:
                drawn[f"{each.contrast}: {self._significance(each)}"] = picture
        if drawn:
            caption = (
                "z without any threshold, all maps on one scale. Black lines are around "
                f"{_SIGNIFICANT}; a map without a line has none, and its colours are no findings."
            )
            yield Pictures(caption, drawn)

    def _significance(self, each: Tested) -> str:
        if not np.isfinite(each.smallest_p):
            return "not corrected, so nothing is outlined"
        number = int(each.significant.sum())
        return (
            f"{counted(number, 'significant voxel')}, outlined"
            if number
            else ("no significant voxel")
        )


def _where(peak: Peak) -> str:
    return ", ".join(figure(value, 0) for value in (peak.x, peak.y, peak.z))
