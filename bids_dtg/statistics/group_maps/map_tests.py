"""Tests of all contrasts: writes their maps and returns the findings."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.features import (
    FeatureSource,
    FeatureTable,
)
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.temporary import temporary_folder
from bids_dtg.imaging.atlas import Atlas, choose_atlases, find_atlas
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.notices import counted, say
from bids_dtg.statistics.group_maps.question import MEASURED, Draws, Question, of_session
from bids_dtg.stats.cohort.group_maps import (
    MapSimilarity,
    Signs,
    Spread,
    half_similarity,
    signs_of,
    spread,
)
from bids_dtg.stats.cohort.map_sizes import LEVEL as SIZES_LEVEL
from bids_dtg.stats.cohort.map_sizes import residual_sizes, sizes_p
from bids_dtg.stats.cohort.peaks import Peak, RegionNames, find_peaks
from bids_dtg.stats.cohort.pooled_fdr import why_no_q
from bids_dtg.stats.cohort.second_level import (
    Corrected,
    GroupDesign,
    GroupTest,
    correct_for_voxels,
    enhance_clusters,
    fit_group,
)
from bids_dtg.stats.verdict import FEWEST

Array = NDArray[np.float32]
_REGIONS = ("Schaefer400", "HCP")  # cortex and the rest; both ship with the program


@dataclass(frozen=True, eq=False)
class Numbers:
    """Maps of one kind and contrast, a row a person."""

    kind: str  # a value of --feature-sets
    contrast: str
    rows: NDArray[np.intp]  # (people,), their positions among the question's people
    values: Array  # (people, voxels)
    places: VoxelPlaces
    failed: Mapping[str, str]  # participants who could not be read, and why


@dataclass(frozen=True, eq=False)
class Tested:
    """Findings of one kind and contrast."""

    kind: str
    contrast: str
    people: int
    places: VoxelPlaces
    effect: Array  # (voxels,)
    t: Array  # (voxels,)
    z: Array  # (voxels,)
    significant: NDArray[np.bool_]  # (voxels,), family-wise; nowhere without permutations
    discoveries: int | None  # voxels by FDR; None: no false discovery rate
    smallest_p: float  # corrected; NaN: not corrected
    tfce: int | None  # voxels significant by TFCE
    peaks: tuple[Peak, ...]  # of the significant voxels
    strongest: tuple[float, float, float]  # position of the largest |z|, mm
    region: str  # region of that position
    spread: Spread  # between people
    halves: MapSimilarity | None  # agreement of two halves of the people, for measured maps
    draws: tuple[str, ...]  # sentences on the permutations
    no_q: str  # why there is no false discovery rate; empty: there is
    unfair: str  # why nothing is corrected though permutations were asked for; empty: all is

    @cached_property
    def signs(self) -> Signs:
        """(voxels,): 1 and -1 where it is significant."""
        return signs_of(self.effect, self.significant)


@dataclass(eq=False)
class MapTests:
    """The tests of all contrasts of a call, run one by one."""

    question: Question
    results: ResultFolder
    failed: set[str] = field(default_factory=set)  # labels of participants who could not be read
    _drawn: dict[bytes, Draws] = field(default_factory=dict)

    def tests(self, sources: Mapping[str, Sequence[FeatureSource]]) -> Iterator[Tested]:
        """Test all kinds and contrasts, and write their maps."""
        for kind, own in sources.items():
            for numbers in self._numbers(kind, own):
                for label, why in numbers.failed.items():
                    say(f"sub-{label} is left out of {numbers.contrast}: {why}")
                self.failed.update(numbers.failed)
                say(f"{kind}: {numbers.contrast}, {counted(len(numbers.rows), 'participant')}")
                yield self._test(numbers)

    @cached_property
    def regions(self) -> RegionNames:
        """Names of regions: of --atlases, else of the atlases that ship with the program."""
        places = self.question.people.places
        settings = self.question.people.settings
        asked = settings.outputs.atlases
        if asked:
            here = TemplateFlow.here(download=True)
            there = choose_atlases(asked, places, templateflow=here)
        else:
            there = tuple(atlas for name in _REGIONS for atlas in _shipped(name, places))
        return RegionNames(places, there)

    def _numbers(self, kind: str, sources: Sequence[FeatureSource]) -> Iterator[Numbers]:
        people = self.question.people
        position = {label: row for row, label in enumerate(people.labels)}
        groups = [of_session(people, session) for session in self.question.sessions] or [people]
        with contextlib.ExitStack() as folders:
            tables = [
                source.tables(own, folders.enter_context(temporary_folder()))
                for source, own in zip(sources, groups, strict=True)
            ]
            for several in _of_the_same_contrast(tables, [source.contrasts for source in sources]):
                if len(several) > 1:
                    yield _difference(kind, several, position)
                else:
                    yield _as_found(kind, several[0], position)

    def _test(self, numbers: Numbers) -> Tested:
        options, settings = self.question.people.settings.statistics, self.question.people.settings
        try:
            design = self.question.design(numbers.rows)
            test = fit_group(numbers.values, design)
        except ValueError as err:
            raise DatasetError(f"{numbers.contrast} cannot be tested: {err}") from err
        verdict = len(numbers.rows) >= FEWEST
        corrected, enhanced, draws = None, None, None
        if verdict and options.map_permutations:
            draws = self._of_fair_sizes(numbers, design, self._draws(numbers.rows))
            if not draws.unfair:
                corrected = correct_for_voxels(numbers.values, design, draws.values)
            if corrected is not None and draws.no_q:
                corrected = dataclasses.replace(corrected, q=None)
            if corrected is not None and options.tfce and not self.question.restricted:
                enhanced = enhance_clusters(
                    numbers.values,
                    design,
                    numbers.places,
                    permutations=options.map_permutations,
                    seed=settings.modelling.seed,
                )
        self._write(numbers, test, corrected, enhanced)
        return self._found(numbers, test, corrected, enhanced, draws)

    def _of_fair_sizes(self, numbers: Numbers, design: GroupDesign, draws: Draws) -> Draws:
        """Return the draws; where maps' sizes go with what is tested, with why they are unfair."""
        if design.tests_mean:
            return draws
        sizes = residual_sizes(numbers.values, design.taken_out)
        p = sizes_p(sizes, design.tested, design.taken_out, draws.values)
        if p > SIZES_LEVEL:
            return draws
        column = self.question.people.settings.statistics.phenotype[0]
        why = f"the size of participants' maps goes with {column} (permuted p {p:.2g})"
        say(f"warning: {numbers.contrast}: {why}: no permutation is fair, so nothing is corrected")
        return dataclasses.replace(draws, no_q=why, unfair=why)

    def _draws(self, rows: NDArray[np.intp]) -> Draws:
        """Draw once for the same people, so that all contrasts share each permutation."""
        key = rows.tobytes()
        if key not in self._drawn:
            settings = self.question.people.settings
            number, seed = settings.statistics.map_permutations, settings.modelling.seed
            self._drawn[key] = self.question.draws(rows, number, seed)
        return self._drawn[key]

    def _found(
        self,
        numbers: Numbers,
        test: GroupTest,
        corrected: Corrected | None,
        enhanced: tuple[NDArray[np.float64], Corrected] | None,
        draws: Draws | None,
    ) -> Tested:
        places, design = numbers.places, self.question.design(numbers.rows)
        significant = np.zeros(len(test.z), bool) if corrected is None else corrected.significant
        strongest = places.points[np.argmax(np.abs(test.z))]
        halves = None
        if numbers.kind == MEASURED:
            families = self.question.people.families[numbers.rows]
            halves = half_similarity(numbers.values, design, families, seed=self._seed)
        return Tested(
            kind=numbers.kind,
            contrast=numbers.contrast,
            people=len(numbers.rows),
            places=places,
            effect=test.effect.astype(np.float32),
            t=test.t.astype(np.float32),
            z=test.z.astype(np.float32),
            significant=significant,
            discoveries=None
            if corrected is None or corrected.q is None
            else int(corrected.discoveries.sum()),
            smallest_p=float("nan") if corrected is None else float(corrected.p.min()),
            tfce=None if enhanced is None else int(enhanced[1].significant.sum()),
            peaks=tuple(find_peaks(test.z, significant, places, self.regions)),
            strongest=(float(strongest[0]), float(strongest[1]), float(strongest[2])),
            region=self.regions.at(strongest[None])[0],
            spread=spread(numbers.values, design),
            halves=halves,
            draws=() if draws is None else draws.words,
            no_q=why_no_q(0, 0) if draws is None else draws.no_q,
            unfair="" if draws is None else draws.unfair,
        )

    @property
    def _seed(self) -> int:
        return self.question.people.settings.modelling.seed

    def _write(
        self,
        numbers: Numbers,
        test: GroupTest,
        corrected: Corrected | None,
        enhanced: tuple[NDArray[np.float64], Corrected] | None,
    ) -> None:
        """Write the maps of one test; corrected maps only if there is a correction."""
        maps: list[tuple[str, str, NDArray[np.floating[Any]], str]] = [
            ("effect", "", test.effect, "effect: the mean, the difference or the slope"),
            ("t", "", test.t, f"t with {test.degrees_of_freedom} degrees of freedom"),
            ("z", "", test.z, "z with the p of t"),
        ]
        if corrected is not None and corrected.q is not None:
            found = np.where(corrected.discoveries, test.z, 0)
            words = "z where the false discovery rate over the voxels is 5 % or less, else 0"
            maps.append(("z", "FDR", found, words))
        if corrected is not None:
            found = np.where(corrected.significant, test.z, 0)
            p = "p, corrected for all voxels by the largest absolute t of permutations"
            maps.append(("logp", "FWE", corrected.log10_p, f"-log10 of {p}"))
            maps.append(("z", "FWE", found, f"z where {p}, is 0.05 or less, else 0"))
        if enhanced is not None:
            p = "-log10 of p, corrected for all voxels by the largest enhanced value"
            maps.append(("tfce", "", enhanced[0], "t with threshold-free cluster enhancement"))
            maps.append(("logp", "TFCE", enhanced[1].log10_p, p))
        for stat, correction, values, words in maps:
            entities = {
                "contrast": numbers.contrast,
                "stat": stat,
                "desc": f"{numbers.kind}{correction}",
            }
            description = f"Of {numbers.kind}, {self.question.words}: {words}"
            self.results.map(entities, values, numbers.places, description, **self._facts(numbers))

    def _facts(self, numbers: Numbers) -> dict[str, object]:
        question, options = self.question, self.question.people.settings.statistics
        facts = {
            "Design": question.kind,
            "Participants": len(numbers.rows),
            "Covariates": list(question.given),
            "Permutations": options.map_permutations if len(numbers.rows) >= FEWEST else 0,
            "Seed": self._seed,
            "Synthetic": numbers.kind != MEASURED,
        }
        if numbers.kind != MEASURED and question.people.example.common.get("NotForScience"):
            facts["NotForScience"] = True
        return facts


def _as_found(kind: str, table: FeatureTable, position: Mapping[str, int]) -> Numbers:
    assert table.places is not None  # maps are of voxels
    rows = np.array([position[label] for label in table.labels], np.intp)
    return Numbers(kind, table.contrast, rows, table.values, table.places, table.failed)


def _of_the_same_contrast(
    tables: Sequence[Iterator[FeatureTable]], contrasts: Sequence[Sequence[str]]
) -> Iterator[tuple[FeatureTable, ...]]:
    """Yield tables of one contrast each, without contrasts that one of them lacks."""
    while True:
        several = [next(own, None) for own in tables]
        while len({found.contrast for found in several if found is not None}) > 1:
            places = [
                len(order) if found is None else order.index(found.contrast)
                for found, order in zip(several, contrasts, strict=True)
            ]
            behind = int(np.argmin(places))
            several[behind] = next(tables[behind], None)
        whole = tuple(found for found in several if found is not None)
        if len(whole) < len(several):
            return
        yield whole


def _difference(kind: str, tables: Sequence[FeatureTable], position: Mapping[str, int]) -> Numbers:
    """Return the second session minus the first, of people and voxels with values in both."""
    first, second = tables
    assert first.places is not None
    assert second.places is not None
    failed = {**first.failed, **second.failed}
    labels = [label for label in first.labels if label in set(second.labels)]
    shared, here, there = np.intersect1d(
        first.places.positions, second.places.positions, return_indices=True
    )
    if not labels or not len(shared):
        raise DatasetError(f"nobody has {kind} of {first.contrast} in both sessions")
    values = np.empty((len(labels), len(shared)), np.float32)
    for row, label in enumerate(labels):
        later = second.values[second.labels.index(label)][there]
        values[row] = later - first.values[first.labels.index(label)][here]
    rows = np.array([position[label] for label in labels], np.intp)
    places = VoxelPlaces(first.places.grid, shared)
    return Numbers(kind, first.contrast, rows, values, places, failed)


def _shipped(name: str, places: VoxelPlaces) -> Iterator[Atlas]:
    """Read an atlas; None if it does not fit the maps, whose peaks then have no names."""
    with contextlib.suppress(SettingsError):
        yield find_atlas(name, places, templateflow=TemplateFlow(None))
