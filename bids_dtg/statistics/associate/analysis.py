"""Association of each region, edge or voxel with phenotypes, given covariates."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.features import (
    FeatureSource,
    FeatureTable,
    find_features,
    print_plan,
    report_failed,
)
from bids_dtg.cohort.people import GroupPeople, gather_people
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import DatasetError
from bids_dtg.files.temporary import temporary_folder
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.notices import counted, named, say
from bids_dtg.report.flags import Flag
from bids_dtg.report.glass_brain import draw_glass_brain
from bids_dtg.report.pages.analysis import AnalysisPageFacts
from bids_dtg.settings import Settings
from bids_dtg.statistics.asked import camel_case, phenotypes_asked
from bids_dtg.statistics.associate.page import (
    EDGES,
    LEVEL,
    ContrastAssociations,
    FeatureAssociations,
    PhenotypeAssociations,
    answer,
    judged_together,
    lead,
    overview,
    section,
)
from bids_dtg.statistics.region_picture import RegionPictures
from bids_dtg.stats.cohort.association import Association, ColumnTests, corrected
from bids_dtg.stats.cohort.exchangeability import Permutations, permutations
from bids_dtg.stats.cohort.map_sizes import LEVEL as SIZES_LEVEL
from bids_dtg.stats.cohort.map_sizes import residual_sizes, sizes_p
from bids_dtg.stats.cohort.pooled_fdr import why_no_q
from bids_dtg.workflows import FeatureKind

_DEFAULT = ("regions",)
_WRITES = ("desc-associations_summary", "desc-*_associations", "*_statmap")
_SECTIONS = 12  # phenotypes that the page shows in full
_CONTRAST = Column("contrast", "Contrast of the maps")
_PARTICIPANTS = Column("participants", "Number of participants in the test")
_TESTS = (
    Column("r", "Partial correlation with the phenotype, given the covariates"),
    Column("t", "Student's t of the phenotype in the linear model with the covariates"),
    Column("p", "Two-sided p of t, as if participants were unrelated"),
    Column("p_permuted", "Share of permutations (Freedman and Lane) with an |r| as large"),
)
_COLUMNS = (
    _CONTRAST,
    Column("name", "Region, or edge"),
    _PARTICIPANTS,
    *_TESTS,
    Column(
        "q",
        "False discovery rate over all rows of this table, by how many reach an |r| in the "
        "permutations; 1 where p is above 0.05",
    ),
    Column(
        "p_fwe",
        "Family-wise p: share of permutations in which the largest |r| of all rows is as large",
    ),
)
_SUMMARY = (
    Column("phenotype", "Column of the table of participants"),
    Column("features", "What was tested: a value of --feature-sets"),
    _CONTRAST,
    _PARTICIPANTS,
    Column("dof", "Degrees of freedom of t"),
    Column("tests", "Regions, edges or voxels that were tested"),
    Column("dropped", "Regions, edges or voxels left out, as a participant has no value there"),
    Column(
        "tests_fdr",
        "Tests with q of at most 0.05; q is over all contrasts of phenotype and features",
    ),
    Column("tests_fwe", "Tests with a family-wise p of at most 0.05, over the same tests"),
    Column("name", "Position of the largest |r|: region, edge, or place of a voxel (RAS+, mm)"),
    *(dataclasses.replace(column, meaning=f"{column.meaning}: there") for column in _TESTS),
    Column("q", "False discovery rate there"),
    Column("p_fwe", "Family-wise p there"),
)
_MAPS = {
    **{column.name: column.meaning for column in _TESTS[:2]},
    "logq": "-log10 of the false discovery rate over all voxels and contrasts",
    "logpfwe": "-log10 of the family-wise p over all voxels and contrasts",
}


def run_associate(settings: Settings) -> int:
    """Test features against phenotypes; return how many participants could not be read.

    Raises
    ------
    DatasetError, SettingsError
        There are no features or phenotypes, or too few people for any of them.
    """
    people = gather_people(settings).complete(settings.statistics.covariates)
    names = phenotypes_asked(people)
    sources = _sources(people)
    people = people.complete(_covariates_of(people, sources))
    if settings.behaviour.dry_run:
        would = f"would test {named(names)} of {counted(len(people), 'participant')}"
        return print_plan(sources, [would])
    results = ResultFolder.of(settings, people.output, *_WRITES)
    with results.begun(), temporary_folder() as folder:
        study = _Study(people, names, _covariates_of(people, sources))
        for number, source in enumerate(sources):
            for position, table in enumerate(source.tables(people.of(source.has), folder)):
                done = (number + position / len(source.contrasts)) / len(sources)
                say(f"{done:4.0%} {table.title}")
                study.add(table)
        _write(results, study)
    return len(study.failed)


def _covariates_of(people: GroupPeople, sources: Sequence[FeatureSource]) -> tuple[str, ...]:
    """Return measures of runs that features ask for as covariates, where people differ in them."""
    asked = {people.column(name).name for name in people.settings.statistics.covariates}
    found = dict.fromkeys(name for source in sources for name in source.kind.covariates)
    return tuple(
        name
        for name in found
        if name not in asked and len(set(people.column(name).texts.values())) > 1
    )


def _sources(people: GroupPeople) -> tuple[FeatureSource, ...]:
    """Return the requested features, and the edges that they are compared with."""
    try:
        kinds = people.feature_kinds
        found = find_features(people, [name for name in _DEFAULT if name in kinds] or [*kinds])
    except DatasetError as err:
        if people.settings.statistics.feature_sets:
            raise
        remedy = "call the participant level with --atlases, or give --feature-sets maps"
        raise err.as_kind(DatasetError, remedy=remedy) from err
    edges = people.feature_kinds.get(EDGES)
    if edges is None or edges in [source.kind for source in found]:
        return found
    try:
        return (*found, edges.find(edges, people))
    except DatasetError as err:
        say(f"not compared with the edges of the connectome: {err}")
        return found


@dataclass(frozen=True, eq=False)
class _Tested:
    """A contrast, tested against a phenotype."""

    contrast: str
    people: int
    names: Sequence[str]  # of the columns
    places: VoxelPlaces | None  # of voxels; None: not voxels
    dropped: int
    tests: ColumnTests
    no_q: str  # why there is no false discovery rate; empty: there is
    atlas: str  # key of the atlas whose regions the columns are; empty: no regions


class _VoxelNames(Sequence[str]):
    """Names of voxels by their places, made at each access."""

    def __init__(self, places: VoxelPlaces) -> None:
        self._points = places.points

    def __len__(self) -> int:
        return len(self._points)

    def __getitem__(self, position: int) -> str:  # type: ignore[override]
        x, y, z = (round(float(mm)) for mm in self._points[position])
        return f"({x}, {y}, {z}) mm"


@dataclass(frozen=True, eq=False)
class _Model:
    """A phenotype of a set of people."""

    name: str
    tested: NDArray[np.float64]  # (people,)
    others: NDArray[np.float64]  # (people, columns), the constant among them
    association: Association
    drawn: Permutations | None
    notes: tuple[str, ...]  # how people were permuted, and the coding of two levels
    no_q: str  # why there is no false discovery rate; empty: there is
    no_sites: str  # why sites are no covariate; empty: they are, or need not be
    # Log sizes of people's residuals, (people,) a table, by kind of features.
    sizes: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)

    def add_sizes(self, kind: str, values: NDArray[np.floating[Any]]) -> None:
        """Note how large what covariates leave of people's values is."""
        if self.drawn is not None:
            self.sizes.setdefault(kind, []).append(residual_sizes(values, self.others))

    def sizes_p(self, kind: str) -> float:
        """Return the permuted p of sizes with what is tested; 1 where none is known."""
        if self.drawn is None or kind not in self.sizes:
            return 1.0
        sizes = np.mean(self.sizes[kind], axis=0)
        return sizes_p(sizes, self.tested, self.others, self.drawn.orders)


class _Study:
    """All tests of a call."""

    def __init__(
        self, people: GroupPeople, names: Sequence[str], of_features: Sequence[str] = ()
    ) -> None:
        self.people, self.names, self._of_features = people, names, of_features
        self.failed: dict[str, str] = {}  # participants who could not be read, and why
        asked = people.settings.statistics.covariates
        self._covariates = people.covariates([*asked, *of_features])
        self._drawn: dict[tuple[str, ...], Permutations | None] = {}  # by labels
        self._models: dict[tuple[str, tuple[str, ...]], _Model | None] = {}
        self._found: dict[tuple[str, str], list[_Tested]] = {}  # by phenotype and kind
        self._regions = RegionPictures(people)
        self._kinds: dict[str, FeatureKind] = {}

    def add(self, table: FeatureTable) -> None:
        """Test a contrast against all phenotypes."""
        self.failed |= report_failed(table, self.failed)
        self._kinds[table.kind.name] = table.kind
        names = _VoxelNames(table.places) if table.places is not None else table.names
        for name in self.names:
            known = self.people.column(name).texts
            rows = np.array([n for n, label in enumerate(table.labels) if label in known], np.intp)
            labels = tuple(table.labels[n] for n in rows)
            if (model := self._model(name, labels)) is None:
                continue
            everybody = len(rows) == len(table.labels)
            own = self._found.setdefault((name, table.kind.name), [])
            tests = model.association.test(
                table.values,
                rows=None if everybody else rows,
                counts=own[0].tests.counts if own else None,
            )
            model.add_sizes(table.kind.name, table.values if everybody else table.values[rows])
            found = _Tested(
                contrast=table.contrast,
                people=len(labels),
                names=names,
                places=table.places,
                dropped=table.dropped,
                tests=tests,
                no_q=model.no_q,
                atlas=table.atlas,
            )
            own.append(found)

    def _model(self, name: str, labels: tuple[str, ...]) -> _Model | None:
        """Return a phenotype of people; None, and one report, if it cannot be tested."""
        key = (name, labels)
        if key not in self._models:
            try:
                self._models[key] = self._new_model(name, labels)
            except ValueError as err:
                say(f"{name} is not tested: {err}")
                self._models[key] = None
        return self._models[key]

    def _new_model(self, name: str, labels: tuple[str, ...]) -> _Model:
        values, note = _numbers(self.people.of(labels), name)
        rows = np.array([n for n, label in enumerate(self.people.labels) if label in {*labels}])
        drawn = self._permutations(labels)
        given, no_sites = self.people.with_sites(labels, self._covariates.of(rows), name, values)
        association = Association.of(values, given.values, drawn)
        others = np.column_stack([np.ones(len(values)), given.values])
        if no_sites:
            note = (*note, f"The participants are of several sites, and {no_sites}.")
        elif added := [own for own in given.names if own not in self._covariates.names]:
            note = (*note, f"Sites are covariates: {named(added)}.")

        def model(words: str, no_q: str) -> _Model:
            notes = (*note, words)
            return _Model(name, values, others, association, drawn, notes, no_q, no_sites)

        if drawn is None:
            words = "No permutation was asked for (--permutations 0): nothing is corrected."
            return model(words, why_no_q(0, 0))
        words = f"{len(drawn.orders):,} permutations, seed {self.people.settings.modelling.seed}."
        sentences = drawn.words
        no_q = why_no_q(len(drawn.orders), drawn.possible)
        if trouble := drawn.trouble_with(name, values):
            say(f"warning: {trouble}")
            sentences, no_q = (*sentences, trouble), f"no permutation changes {name}"
        if no_q:
            sentences = (*sentences, f"There is no false discovery rate: {no_q}.")
        return model(f"{words} {' '.join(sentences)}", no_q)

    def _permutations(self, labels: tuple[str, ...]) -> Permutations | None:
        options, people = self.people.settings.statistics, self.people.of(labels)
        if not options.map_permutations:
            return None
        if labels not in self._drawn:
            self._drawn[labels] = permutations(
                options.map_permutations,
                people.families,
                sites=people.sites,
                within_families=options.within_families,
                seed=self.people.settings.modelling.seed,
            )
        return self._drawn[labels]

    def finished(self) -> Iterator[tuple[PhenotypeAssociations, list[list[_Tested]]]]:
        """Yield the findings of each phenotype, and write the tables of each kind of features."""
        for name in self.names:
            tables = [own for (phenotype, _), own in self._found.items() if phenotype == name]
            kinds = [kind for phenotype, kind in self._found if phenotype == name]
            if tables:
                features = [
                    _corrected(self._kinds[kind], own, self._unfair(name, kind), self._regions)
                    for kind, own in zip(kinds, tables, strict=True)
                ]
                yield PhenotypeAssociations(name, features, self._notes(name)), tables

    def _unfair(self, name: str, kind: str) -> str:
        """Return why no permutation is fair to features; empty: they are."""
        models = [own for own in self._models.values() if own is not None and own.name == name]
        p = min(1.0, min(model.sizes_p(kind) for model in models) * len(models))
        if p > SIZES_LEVEL:
            return ""
        why = f"the size of participants' values goes with {name} (permuted p {p:.2g})"
        say(f"warning: {self._kinds[kind].words}: {why}: nothing is corrected")
        return why

    @property
    def flags(self) -> list[Flag]:
        """Flags of the people, and of phenotypes that go with their sites."""
        models = [own for own in self._models.values() if own is not None]
        lines = dict.fromkeys(own.no_sites for own in models if own.no_sites)
        return [
            *(
                Flag(
                    "warning",
                    f"The participants are of several sites, and {line}. What differs between "
                    "sites may be taken for what goes with the phenotype.",
                )
                for line in lines
            ),
            *self.people.flags,
        ]

    def _notes(self, name: str) -> tuple[str, ...]:
        models = {
            labels: model
            for (own, labels), model in self._models.items()
            if own == name and model is not None
        }
        labels = max(models, key=len)
        lacking = len(self.people) - len(labels)
        without = f"; {lacking} without a value or not read" if lacking else ""
        options = self.people.settings.statistics
        covariates = ", ".join(options.covariates) or "none"
        if self._of_features:
            own = named(list(self._of_features))
            covariates = f"{covariates}, and of these features {own}"
        return (
            f"{counted(len(labels), 'participant')}{without}. Covariates: {covariates}. The unit "
            f"is the participant; {models[labels].association.dof} degrees of freedom.",
            *models[labels].notes,
        )


def _numbers(people: GroupPeople, name: str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return a phenotype as numbers, and the coding of two levels in words."""
    column = people.column(name)
    if column.is_number:
        return np.array([column.numbers[label] for label in people.labels]), ()
    if len(column.levels) > 2:
        raise ValueError(f"it has {counted(len(column.levels), 'level')} of words, and not two")
    if len(column.levels) < 2:
        raise ValueError("it is the same for all, or nobody has it")
    first, second = column.levels
    values = np.array([column.texts[label] == second for label in people.labels], np.float64)
    more = int(values.sum())
    return values, (
        f"{len(values) - more} {first}, {more} {second}: r is above 0 where {second} has more.",
    )


def _corrected(
    kind: FeatureKind, tables: Sequence[_Tested], unfair: str, regions: RegionPictures
) -> FeatureAssociations:
    unit = "edge" if kind.name == EDGES else "region" if tables[0].places is None else "voxel"
    unit = kind.unit or unit
    no_q = unfair or next((table.no_q for table in tables if table.no_q), "")
    found = [
        ContrastAssociations(
            table.contrast,
            table.people,
            table.names,
            table.tests,
            own.uncorrected() if unfair else own.without_q() if no_q else own,
            table.dropped,
        )
        for table, own in zip(tables, corrected([table.tests for table in tables]), strict=True)
    ]
    pictures = _pictures(tables, found, unit, regions)
    return FeatureAssociations(kind.name, kind.words, unit, found, no_q, unfair, pictures)


def _write(results: ResultFolder, study: _Study) -> None:
    """Write tables, maps and the page.

    Raises
    ------
    DatasetError
        No phenotype could be tested.
    """
    found, rows = [], list[Mapping[str, object]]()
    for phenotype, tables in study.finished():
        for features, own in zip(phenotype.features, tables, strict=True):
            _write_features(results, phenotype.name, features, own)
            rows += _summary(phenotype.name, features)
        found.append(phenotype)
    if not found:
        raise DatasetError(
            f"none of {named(study.names)} can be tested", expected="what the lines above miss"
        )
    words = "The strongest association of each phenotype, kind of features and contrast"
    results.table("desc-associations_summary", ResultTable(_SUMMARY, rows, words))
    found = judged_together(found)
    for phenotype in found:
        say(answer(phenotype))
    results.page(_page(study, found))


def _write_features(
    results: ResultFolder, phenotype: str, found: FeatureAssociations, tables: Sequence[_Tested]
) -> None:
    desc = camel_case(f"{phenotype} {found.kind}")
    if found.unit == "voxel":
        for own, table in zip(found.contrasts, tables, strict=True):
            _write_maps(results, phenotype, desc, own, table)
        return
    rows = [row for own in found.contrasts for row in _rows(own)]
    columns = _COLUMNS if found.contrasts[0].contrast else _COLUMNS[1:]
    words = f"Association of {found.words} with {phenotype}: a row for each {found.unit}"
    results.table(f"desc-{desc}_associations", ResultTable(columns, rows, words))


def _rows(own: ContrastAssociations) -> Iterator[dict[str, object]]:
    columns = _columns(own)
    contrast = {"contrast": own.contrast} if own.contrast else {}
    for position, name in enumerate(own.names):
        yield {
            **contrast,
            "name": name,
            "participants": own.people,
            **{key: float(values[position]) for key, values in columns.items()},
        }


def _columns(own: ContrastAssociations) -> dict[str, NDArray[np.float64]]:
    tests = {key: getattr(own.tests, key) for key in ("r", "t", "p", "p_permuted")}
    return {**tests, "q": own.corrected.q, "p_fwe": own.corrected.p_fwe}


def _write_maps(
    results: ResultFolder, phenotype: str, desc: str, own: ContrastAssociations, table: _Tested
) -> None:
    assert table.places is not None  # features are voxels
    values = {
        "r": own.tests.r,
        "t": own.tests.t,
        "logq": -np.log10(own.corrected.q),
        "logpfwe": -np.log10(own.corrected.p_fwe),
    }
    for stat, words in _MAPS.items():
        if np.isfinite(values[stat]).any():
            results.map(
                {"contrast": own.contrast, "stat": stat, "desc": desc},
                values[stat],
                table.places,
                f"{words} ({phenotype})",
                Phenotype=phenotype,
                NParticipants=own.people,
                DegreesOfFreedom=own.tests.dof,
            )


def _summary(phenotype: str, found: FeatureAssociations) -> Iterator[dict[str, object]]:
    for own in found.contrasts:
        place = own.strongest
        figures = _columns(own)
        there = {} if place is None else {k: float(v[place]) for k, v in figures.items()}
        yield {
            "phenotype": phenotype,
            "features": found.kind,
            "contrast": own.contrast or None,
            "participants": own.people,
            "dof": own.tests.dof,
            "tests": int(np.isfinite(own.tests.r).sum()),
            "dropped": own.dropped,
            "tests_fdr": None if found.no_q else int((own.corrected.q <= LEVEL).sum()),
            "tests_fwe": None if found.unfair else int((own.corrected.p_fwe <= LEVEL).sum()),
            "name": None if place is None else own.names[place],
            **there,
        }


def _pictures(
    tables: Sequence[_Tested],
    found: Sequence[ContrastAssociations],
    unit: str,
    regions: RegionPictures,
) -> dict[str, bytes]:
    """Draw the contrast with the strongest association, of voxels or of regions."""
    best, own = max(
        zip(tables, found, strict=True),
        key=lambda pair: float(np.nan_to_num(np.abs(pair[0].tests.r)).max()),
    )
    if not np.isfinite(best.tests.r).any():
        return {}
    r, title, units = best.tests.r, best.contrast, "partial r"
    certain, words = own.certainty(unit)
    drawn = None
    if best.places is not None:
        drawn = draw_glass_brain(r, best.places, title=title, outlined=certain, units=units)
    elif best.atlas:
        values = dict(zip(best.names, map(float, r), strict=True))
        around = [name for name, sure in zip(best.names, certain, strict=True) if sure]
        drawn = regions.draw(best.atlas, values, title=title, outlined=around, units=units)
    return {} if drawn is None else {f"{title}: {words}" if title else words: drawn}


def _page(study: _Study, found: Sequence[PhenotypeAssociations]) -> AnalysisPageFacts:
    least = {
        phenotype.name: min(
            float(np.nanmin(own.corrected.q, initial=1.0))
            for features in phenotype.features
            for own in features.contrasts
        )
        for phenotype in found
    }
    shown = sorted(found, key=lambda phenotype: least[phenotype.name])[:_SECTIONS]
    left_out = [title for title, _ in study.people.left_out]
    rest = len(found) - len(shown)
    more = f" In full: the {len(shown)} with the smallest q." if rest else ""
    return AnalysisPageFacts(
        title="Associations with phenotypes",
        lead=f"{lead(found, len(study.people))}{more}",
        flags=study.flags,
        sections=[overview(found, left_out), *(section(phenotype) for phenotype in shown)],
        index="../../index.html",
    )
