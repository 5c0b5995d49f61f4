"""``group --analysis stats``: tests of a mean, a phenotype or two sessions in each feature."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Float64, Indices, Mask
from bids_dtg.cohort.features import (
    FeatureSource,
    FeatureTable,
    find_features,
    print_plan,
)
from bids_dtg.cohort.group_participants import GroupParticipants
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.columns import Column
from bids_dtg.files.names import build_name
from bids_dtg.files.paths import temporary_folder
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.participants import Column as Variable
from bids_dtg.notices import counted, named, say
from bids_dtg.report import figures
from bids_dtg.report.contents import SYNTHETIC
from bids_dtg.report.page import Page, Section, link, sentences
from bids_dtg.report.pictures import draw_glass_brain
from bids_dtg.report.tables import Table, number_text
from bids_dtg.report.viewer import (
    SCRIPT,
    pack,
    viewer_data,
    write_script,
    write_shared_files,
)
from bids_dtg.settings import Settings
from bids_dtg.statistics.options import PhenotypeOptions
from bids_dtg.statistics.variables import (
    camel_case,
    covariates_of,
    gather_with_covariates,
    require_unexplained,
    values_of,
)
from bids_dtg.stats.permutation import (
    FEWEST_ORDERS,
    ColumnTests,
    Corrected,
    Design,
    correct,
    different_orders,
    fit_columns,
    flipped_signs,
    misleading_sizes,
    permuted_orders,
)
from bids_dtg.stats.verdict import FEWEST
from bids_dtg.version import __version__
from bids_dtg.workflows import FeatureKind

ALPHA = 0.05
FEWEST_DOF = 5  # residual degrees of freedom; with fewer, only effects are reported
_FEWEST_PEOPLE = 3  # participants of a test
_ROWS = 12  # contrasts on the page
_WRITES = (
    "desc-*_tests",
    "desc-tests_summary",
    "*_statmap",
    f"figures/desc-*{Path(SCRIPT).stem}",
)
_CONTRAST = Column("contrast", "Contrast of the maps")
_PARTICIPANTS = Column("participants", "Number of participants")
_TESTS = (
    Column(
        "effect",
        "Mean over participants, mean difference of the sessions or of the levels, or slope on the "
        "phenotype",
    ),
    Column("r", "Partial correlation with the phenotype, given the covariates"),
    Column("t", "Student's t"),
    Column("dof", "Degrees of freedom of t; below 5, there is no t"),
    Column(
        "p_fwe",
        "Share of permutations in which the largest |t| of all rows of these features is as large",
        heading="corrected p",
    ),
    Column(
        "p_fwe_contrast",
        "The same over the rows of the contrast; valid only if the contrast was named beforehand",
        heading="p within the contrast",
    ),
    Column(
        "q",
        "False discovery rate over all rows of these features, from the |t| of all permutations",
    ),
)
_COLUMNS = (_CONTRAST, Column("name", "Region, edge or score"), _PARTICIPANTS, *_TESTS)
_SUMMARY = (
    Column("features", "What was tested"),
    _CONTRAST,
    _PARTICIPANTS,
    Column("tests", "Regions, voxels, edges or scores that were tested"),
    Column("dropped", "Number left out, as a participant has no value there"),
    Column("tests_fwe", "Tests with p_fwe of at most 0.05", heading="p \u2264 .05"),
    Column("tests_fdr", "Tests with q of at most 0.05", heading="q \u2264 .05"),
    Column(
        "name",
        "Region, edge, score or voxel (RAS+, mm) with the largest |t|; without p, |effect|",
        heading="largest at",
    ),
    *_TESTS,
)
_SHOWN = (
    "contrast",
    "name",
    "t",
    "dof",
    "p_fwe",
    "q",
    "tests_fwe",
    "tests_fdr",
    "tests",
    "participants",
)


@dataclass(frozen=True, eq=False)
class Plan:
    """How the people of a contrast are tested."""

    design: Design
    no_p: str = ""  # why there is no p; empty: there is one, unless --permutations is 0
    covariates: tuple[str, ...] = ()  # columns of the design

    @property
    def has_t(self) -> bool:
        """Whether enough degrees of freedom are left for t."""
        return self.design.dof >= FEWEST_DOF

    @property
    def has_p(self) -> bool:
        """Whether the tests have p."""
        return not self.no_p and len(self.design.draws) > 0

    @property
    def statistic(self) -> str:
        """The statistic to show: t, or the effect where there is no p, as t then means little."""
        return "effect" if self.no_p else "t"


@dataclass(eq=False)
class Question:
    """What is tested in each column: a mean, a phenotype, or the difference of two sessions."""

    people: GroupParticipants
    phenotype: Variable | None
    sessions: tuple[str, ...] = ()
    words: list[str] = field(default_factory=list)  # on permutations, for the page
    # By features and people.
    plans: dict[tuple[str, ...], Plan] = field(default_factory=dict)

    @classmethod
    def of(cls, people: GroupParticipants) -> Question:
        """Return the question that the options ask.

        Raises
        ------
        SettingsError, DatasetError
            The question cannot be tested, or nobody has a value of the phenotype.
        """
        settings, options = people.settings, people.settings.statistics
        phenotypes = settings.part(PhenotypeOptions).phenotype
        if len(phenotypes) > 1:
            raise SettingsError(
                f"stats was given {len(phenotypes)} phenotypes",
                expected="one, so that its p is not affected by others",
            )
        if phenotypes:
            column = people.column(phenotypes[0])
            if not column.is_number and len(column.levels) > 2:
                raise SettingsError(
                    f"{column.name} has {len(column.levels)} levels",
                    expected="numbers, or two levels",
                    remedy="compare two of them; n/a in the table leaves a participant out",
                )
            people = people.complete([column.name])
            require_unexplained(people, [column.name])
            return cls(people, people.column(column.name))
        if options.covariates:
            raise SettingsError(
                "--covariates was given without --phenotype",
                expected="both, or neither",
            )
        sessions = settings.inputs.session_label
        if len(sessions) > 2:
            raise SettingsError(
                f"stats was given {len(sessions)} sessions", expected="two, to compare"
            )
        return cls(people, None, sessions if len(sessions) == 2 else ())

    @property
    def title(self) -> str:
        """The question in words."""
        if self.phenotype is not None:
            name = self.phenotype.name
            if self.phenotype.is_number:
                return name
            return f"{name} ({' against '.join(self.phenotype.levels[::-1])})"
        if self.sessions:
            return f"session {self.sessions[1]} minus session {self.sessions[0]}"
        return "the mean"

    @property
    def label(self) -> str:
        """The question as a part of file names."""
        if self.phenotype is not None:
            return self.phenotype.name
        return "difference" if self.sessions else "mean"

    def plan(self, table: FeatureTable) -> Plan:
        """Return how the people of a table are tested, with their permutations.

        Raises
        ------
        ValueError, SettingsError
            They are too few, or their covariates explain everything or depend on each other.
        """
        key = (table.source.kind.name, *table.labels)
        if key not in self.plans:
            people = self.people.of(table.labels)
            if self.phenotype is None:
                self.plans[key] = self._plan_of_mean(people)
            else:
                self.plans[key] = self._plan_of_phenotype(
                    people, self.phenotype, table.source.kind
                )
        return self.plans[key]

    def _plan_of_mean(self, people: GroupParticipants) -> Plan:
        """Return how a mean, or the difference of two sessions, is tested."""
        families, options = people.families, people.settings.statistics
        number = len(np.unique(families))
        in_words = counted(number, "family", "families")
        no_p = "" if self.sessions else "a mean is not tested"
        if self.sessions and number < FEWEST:
            no_p = self._without_p(f"signs of {in_words} are too few to flip")
        draws = 0 if no_p else options.map_permutations
        seed = people.settings.modelling.seed
        if draws:
            self._add_words(f"{draws} flips of the signs of {in_words}, seed {seed}")
        return Plan(Design.of_mean(flipped_signs(families, draws, seed=seed)), no_p)

    def _plan_of_phenotype(
        self, people: GroupParticipants, phenotype: Variable, kind: FeatureKind
    ) -> Plan:
        """Return how the association with a phenotype is tested."""
        options, seed = people.settings.statistics, people.settings.modelling.seed
        draws, families = options.map_permutations, people.families
        values = values_of(phenotype, people.labels)
        covariates = covariates_of(
            people, kind, phenotype.name, values, self._add_words
        )
        no_orders = np.empty((0, len(people)), np.int32)
        design = Design.of(values, covariates.values, no_orders)
        different = different_orders(values, families, people.sites)
        no_p = ""
        if len(people) < FEWEST:
            no_p = self._without_p(f"{counted(people, 'participant')} are too few")
        elif different < FEWEST_ORDERS:
            no_p = self._without_p(
                f"{phenotype.name} can be permuted over these families and sites in only "
                f"{counted(different, 'way')}, and {FEWEST_ORDERS} are needed"
            )
        elif design.dof < FEWEST_DOF:
            dof = counted(design.dof, "degree of freedom", "degrees of freedom")
            no_p = self._without_p(
                f"{dof} beside the covariates, and {FEWEST_DOF} are needed"
            )
        if no_p or not draws:
            return Plan(design, no_p, covariates.names)
        related = len(np.unique(families)) < len(people)
        within = "" if people.sites is None else " within sites"
        units = "whole families of the same size" if related else "participants"
        self._add_words(f"{draws} permutations of {units}{within}, seed {seed}")
        orders = permuted_orders(families, draws, sites=people.sites, seed=seed)
        return Plan(dataclasses.replace(design, draws=orders), no_p, covariates.names)

    def _without_p(self, reason: str) -> str:
        """Return why there is no p; print it the first time."""
        if reason not in {plan.no_p for plan in self.plans.values()}:
            say(f"no permutations: {reason}")
        return reason

    def _add_words(self, words: str) -> None:
        """Add a sentence on how people are tested to the page, once."""
        if words not in self.words:
            self.words.append(words)


@dataclass(frozen=True, eq=False)
class _ContrastTests:
    """The tests of a contrast of some features; its table no longer holds values."""

    table: FeatureTable
    plan: Plan
    tests: ColumnTests  # without products
    corrected: Corrected | None = None  # None: no p

    @property
    def values(self) -> Float64:
        """The statistic to show, of each column."""
        return self.tests.effect if self.plan.no_p else self.tests.t

    @property
    def best(self) -> int:
        """The column where that statistic is largest."""
        return int(np.nanargmax(np.abs(self.values)))

    @property
    def largest(self) -> float:
        """Its value that is furthest from 0."""
        return float(self.values[self.best])

    @property
    def number(self) -> int:
        """How many columns were tested."""
        return int(np.isfinite(self.tests.t).sum())

    def place(self, column: int) -> str:
        """Return the name of a column, or the coordinates of its voxel."""
        places = self.table.places
        if places is None:
            return self.table.names[column]
        return ", ".join(f"{x:.0f}" for x in places.points[column])

    def cells(self, column: int) -> dict[str, object]:
        """Return the statistics of a column."""
        tests, corrected = self.tests, self.corrected
        design = tests.design
        cells: dict[str, object] = {"effect": tests.effect[column], "dof": design.dof}
        if self.plan.has_t:
            cells["t"] = tests.t[column]
        if self.plan.has_t and design.covariates.size:
            cells["r"] = tests.r[column]
        if corrected is not None:
            cells |= {
                "p_fwe": corrected.p[column],
                "p_fwe_contrast": corrected.p_contrast[column],
                "q": corrected.q[column],
            }
        return cells

    @property
    def below_fwe(self) -> int:
        """How many columns have a corrected p of at most .05."""
        return int((self.corrected.p <= ALPHA).sum()) if self.corrected else 0

    @property
    def below_fdr(self) -> int:
        """How many columns have a q of at most .05."""
        return int((self.corrected.q <= ALPHA).sum()) if self.corrected else 0

    @property
    def facts(self) -> dict[str, object]:
        """The row of the summary, with the column where `values` are largest."""
        p = {}
        if self.corrected:
            p = {"tests_fwe": self.below_fwe, "tests_fdr": self.below_fdr}
        source = self.table.source
        return {
            "features": source.kind.name,
            "contrast": self.table.contrast or None,
            "participants": len(self.table.labels),
            "tests": self.number,
            "dropped": source.columns - self.number,
            **p,
            "name": self.place(self.best),
            **self.cells(self.best),
        }


def run_stats(settings: Settings) -> int:
    """Test features; return how many participants could not be read.

    Raises
    ------
    DatasetError, SettingsError
        There are no features, or the question cannot be asked of these people.
    """
    question = Question.of(gather_with_covariates(settings))
    sources = find_features(question.people)
    covariates = [name for source in sources for name in source.kind.covariates]
    people = question.people.complete(list(dict.fromkeys(covariates)))
    question.people = people
    if len(people) < _FEWEST_PEOPLE:
        raise DatasetError(
            f"only {counted(people, 'participant')} can be tested",
            expected=f"{_FEWEST_PEOPLE} or more with results and a value of each variable",
        )
    if settings.behaviour.dry_run:
        number = counted(people, "participant")
        return print_plan(sources, [f"would test {question.title} of {number}"])
    results = ResultFolder.of(settings, people.output, *_WRITES)
    with results.writing(), temporary_folder() as folder, one_blas_thread():
        answers = []
        for source in sources:
            products = dict[Design, Float64]()
            contrasts = list(_tests(question, source, folder, products))
            if not contrasts:
                say(f"{source.kind.words}: nothing can be tested")
                continue
            answers.append(_Answer.of(question, contrasts, products))
            answers[-1].write(results)
        if not answers:
            raise DatasetError("nothing can be tested", expected="values that differ")
        _write(results, question, answers)
    return len(people.failed)


def _tests(
    question: Question,
    source: FeatureSource,
    folder: Path,
    products: dict[Design, Float64],
) -> Iterator[_ContrastTests]:
    """Test the contrasts of a source; leave out contrasts whose columns are all constant.

    The inner products of people are summed over the contrasts of a design, in `products`, as
    those of all contrasts would exceed memory.
    """
    tables = (
        _differences(question, source, folder)
        if question.sessions
        else source.tables(question.people.of(source.has), folder)
    )
    for number, table in enumerate(tables, 1):
        participants = counted(table.labels, "participant")
        say(f"{number} of {len(source.contrasts)}: {table.title}, {participants}")
        if len(table.labels) < _FEWEST_PEOPLE:
            say(f"{table.title}: fewer than three participants, not tested")
            continue
        try:
            plan = question.plan(table)
        except (ValueError, SettingsError) as err:
            question.people.note(
                f"{question.title} cannot be tested: {err}", table.title
            )
            continue
        tests = fit_columns(table.values, plan.design, seed=number)
        if not np.isfinite(tests.t).any():
            continue
        if question.phenotype is not None and plan.has_p:
            if plan.design in products:
                products[plan.design] += tests.products
            else:
                products[plan.design] = tests.products
        nothing = np.empty((0, 0))
        table = dataclasses.replace(table, values=nothing.astype(np.float32))
        yield _ContrastTests(table, plan, dataclasses.replace(tests, products=nothing))


def _differences(
    question: Question, source: FeatureSource, folder: Path
) -> Iterator[FeatureTable]:
    """Yield the second session minus the first, of people and columns with values in both."""
    sessions = list[Iterator[FeatureTable]]()
    for label in question.sessions:
        people = question.people.with_sessions([label])
        session_source = source.kind.find(source.kind, people)
        session_source = dataclasses.replace(session_source, contrasts=source.contrasts)
        inside = folder / f"session{len(sessions)}"
        inside.mkdir(exist_ok=True)
        sessions.append(session_source.tables(people.of(session_source.has), inside))
    tables: list[FeatureTable | None] = [next(session, None) for session in sessions]
    for contrast in source.contrasts:
        # A session may lack the contrast.
        pair = [
            table
            for table in tables
            if table is not None and table.contrast == contrast
        ]
        if len(pair) == len(tables):
            yield _difference(pair[0], pair[1])
        for number, session in enumerate(sessions):
            if tables[number] in pair:
                tables[number] = next(session, None)


def _difference(first: FeatureTable, second: FeatureTable) -> FeatureTable:
    """Return the second table minus the first, of people and columns with values in both."""
    labels, first_rows, second_rows = np.intersect1d(
        first.labels, second.labels, return_indices=True
    )
    _, first_columns, second_columns = np.intersect1d(
        _column_ids(first), _column_ids(second), return_indices=True
    )
    values = np.subtract(
        second.values[np.ix_(second_rows, second_columns)],
        first.values[np.ix_(first_rows, first_columns)],
    )
    columns = first.source_columns[first_columns]
    people = tuple(labels.tolist())  # sorted, as they were
    return FeatureTable(first.source, first.contrast, people, values, columns)


def _column_ids(table: FeatureTable) -> Indices:
    """Return what identifies each column in both sessions: its voxel, else its number."""
    return table.source_columns if table.places is None else table.places.positions


@dataclass(frozen=True, eq=False)
class _Answer:
    """The outcome for features of one kind."""

    question: Question
    contrasts: Sequence[_ContrastTests]  # the tests of each contrast
    # Why there is no corrected p: p of the association of the phenotype with the overall size of
    # maps, and the ratio of their variance between people; None otherwise.
    sizes: tuple[float, float] | None

    @classmethod
    def of(
        cls,
        question: Question,
        contrasts: Sequence[_ContrastTests],
        products: Mapping[Design, Float64],
    ) -> _Answer:
        """Correct p over the contrasts that have p; people may differ between contrasts.

        Parameters
        ----------
        question, contrasts
            The question, and its tests of a kind of features.
        products
            Inner products of people by design, as in `ColumnTests`, where a phenotype has p.
        """
        with_p = [contrast for contrast in contrasts if contrast.plan.has_p]
        if not with_p:
            return cls(question, contrasts, None)
        if with_p[0].tests.t.size > 1:
            sizes = misleading_sizes(products)
            if sizes is not None:
                return cls(question, contrasts, sizes)
        corrections = iter(correct([contrast.tests for contrast in with_p]))
        corrected = [
            dataclasses.replace(contrast, corrected=next(corrections))
            if contrast.plan.has_p
            else contrast
            for contrast in contrasts
        ]
        return cls(question, corrected, None)

    @property
    def source(self) -> FeatureSource:
        """The features."""
        return self.contrasts[0].table.source

    @property
    def words(self) -> str:
        """The kind of features in words."""
        return self.source.kind.words

    @property
    def ranked(self) -> list[_ContrastTests]:
        """The contrasts by their largest values, those that may have p first."""

        def rank(contrast: _ContrastTests) -> tuple[bool, float]:
            return bool(contrast.plan.no_p), -abs(contrast.largest)

        return sorted(self.contrasts, key=rank)

    @property
    def judged(self) -> list[_ContrastTests]:
        """The ranked contrasts that may have p; all, if none may."""
        ranked = self.ranked
        return [contrast for contrast in ranked if not contrast.plan.no_p] or ranked

    @property
    def facts(self) -> list[dict[str, object]]:
        """The rows of the summary, one per contrast."""
        return [contrast.facts for contrast in self.contrasts]

    @property
    def without_p(self) -> dict[str, list[str]]:
        """Contrasts without p, by the reason."""
        by_reason: dict[str, list[str]] = {}
        for contrast in self.contrasts:
            reason = contrast.plan.no_p
            if reason:
                by_reason.setdefault(reason, []).append(contrast.table.contrast)
        return by_reason

    @property
    def headline(self) -> str:
        """The answer in a sentence."""
        best = self.ranked[0]
        return sentences(
            "statistics/stats_lead.html",
            words=self.words,
            title=self.question.title,
            no_p="; ".join(self.without_p) if best.plan.no_p else "",
            without_p={
                reason: named(labels) for reason, labels in self.without_p.items()
            },
            sizes=self.sizes,
            corrected=best.corrected is not None,
            fwe=sum(contrast.below_fwe for contrast in self.contrasts),
            fdr=sum(contrast.below_fdr for contrast in self.contrasts),
            tests=sum(contrast.number for contrast in self.judged),
            t=number_text(best.largest, 2),
            place=best.place(best.best),
            contrast=best.table.contrast,
        )

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row per test, for the table; empty for voxels."""
        return [
            {
                "contrast": contrast.table.contrast or None,
                "name": name,
                "participants": len(contrast.table.labels),
                **contrast.cells(number),
            }
            for contrast in self.contrasts
            for number, name in enumerate(contrast.table.names)
        ]

    def write(self, results: ResultFolder) -> None:
        """Write the table of tests, or maps."""
        rows = self.rows
        if rows:
            label = camel_case(f"{self.question.label} {self.source.kind.name}")
            words = f"{self.words}: {self.question.title}"
            results.table(f"desc-{label}_tests", ResultTable(_COLUMNS, rows, words))
        if self.source.places is not None:
            for contrast in self.contrasts:
                self._write_maps(results, contrast, self.source.places)

    def _write_maps(
        self, results: ResultFolder, contrast: _ContrastTests, places: VoxelPlaces
    ) -> None:
        maps = {"effect": contrast.tests.effect}
        if contrast.plan.has_t:
            maps["t"] = contrast.tests.t
        if contrast.corrected is not None:
            maps["logp"] = -np.log10(contrast.corrected.p)
        space = places.grid.space
        facts: Mapping[str, object] = {
            **({"SpatialReference": space} if space else {}),
            "SkullStripped": True,
            "Participants": len(contrast.table.labels),
            "DegreesOfFreedom": contrast.tests.design.dof,
            "Covariates": list(contrast.plan.covariates),
            "Synthetic": bool(self.source.kind.synthetic),
        }
        for stat, values in maps.items():
            meaning = "-log10 of the corrected p" if stat == "logp" else stat
            description = f"{self.words}, {self.question.title}: {meaning}"
            name = _map_name(contrast.table, places, stat)
            data = places.encode(
                np.nan_to_num(contrast.table.volume(values)).astype(np.float32),
                description=f"bids_dtg {__version__} {results.name}",
            )
            write_atomic(results.add(f"{name}.nii.gz"), data)
            results.json(name, {"Description": description, **facts})

    def on_page(self) -> Table:
        """Return a table of all tests if there are few, else of each contrast's largest t."""
        statistics = sorted({contrast.plan.statistic for contrast in self.contrasts})
        rows: Sequence[Mapping[str, object]] = self.facts
        columns: Sequence[Column] = _SUMMARY
        caption = f"The largest {' or '.join(statistics)}"
        caption += " of each contrast" if len(rows) > 1 else ""
        if 0 < len(self.rows) <= _ROWS:
            rows, columns = self.rows, _COLUMNS
            caption = "All tests"
        elif len(rows) > _ROWS:
            caption += f", the first {_ROWS} of {len(rows)}; the file has all"
            rows = [contrast.facts for contrast in self.ranked[:_ROWS]]
        caption += "; without p, none is a finding" if self.without_p else ""
        with_values = {
            name for row in rows for name, value in row.items() if value is not None
        }
        names = list(_SHOWN)
        names[names.index("t") : names.index("t") + 1] = statistics
        shown = [name for name in names if name in with_values]
        return ResultTable(columns, rows).on_page(caption, shown)

    def picture(self, opens: int | None) -> figures.Figure | None:
        """Draw the contrast with the largest value, with an outline around significant tests.

        A button opens it in the page's viewer, as map number `opens`.
        """
        best, places = self.ranked[0], self.source.places
        statistic = best.plan.statistic
        if places is None:
            return self._dots(statistic)
        outlined: Mask | None = None
        caption = "Unthresholded"
        if best.corrected is not None:
            significant = best.table.volume((best.corrected.p <= ALPHA).astype(float))
            outlined = np.nan_to_num(significant) > 0
            line = "the line is around" if outlined.any() else "no test has"
            caption += f"; {line} corrected p \u2264 .05"
        volume = best.table.volume(best.values)
        picture = draw_glass_brain(volume, places, outlined=outlined, units=statistic)
        title = f"{statistic} of {best.table.contrast}"
        return figures.pictures(f"{caption}.", {title: picture}, opens)

    def _dots(self, statistic: str) -> figures.Figure | None:
        """Plot all tests, if there are few."""
        rows = self.rows
        if not 0 < len(rows) <= _ROWS:
            return None
        names = [f"{row['contrast'] or ''} {row['name']}".strip() for row in rows]
        values = np.array([row[statistic] for row in rows], np.float64)
        title = f"{statistic} of all tests"
        return figures.dots(title, statistic, names, {"": values})

    def in_viewer(
        self, results: ResultFolder, number: int
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Pack that map for the page's viewer, as map `number`."""
        best, places = self.ranked[0], self.source.places
        statistic = best.plan.statistic
        if places is None or not results.has_pages:
            return None
        values = np.nan_to_num(best.table.volume(best.values)).astype(np.float32)
        script = results.add(f"figures/desc-{self.source.kind.name}{SCRIPT}")
        volumes = {best.table.contrast: pack(places.volume(values), places.grid)}
        address = write_script(results.output, script, volumes)
        x, y, z = places.points[np.abs(values).argmax()]
        name = f"{_map_name(best.table, places, statistic)}.nii.gz"
        shown = {
            "average": number,
            "label": best.table.contrast,
            "title": f"{statistic} of {best.table.contrast}",
            "about": self.question.title,
            "units": statistic,
            "limit": float(f"{np.abs(values).max():.2g}") or 1.0,
            "scale": self.source.kind.name,
            "peak": (float(x), float(y), float(z)),
            "file": link(results.path / name, results.output),
            "overlays": (),
        }
        return {"title": self.words, "scripts": {SYNTHETIC: address}}, shown


def _map_name(table: FeatureTable, places: VoxelPlaces, stat: str) -> str:
    """Return the name of a statistic's map, without an extension."""
    entities = {
        "contrast": table.contrast,
        "stat": stat,
        "desc": table.source.kind.name,
    }
    return build_name({**entities, **places.entities}, "statmap", "")


def _write(
    results: ResultFolder,
    question: Question,
    answers: Sequence[_Answer],
) -> None:
    """Write the summary and the page; report the answers."""
    people = question.people
    rows = [row for answer in answers for row in answer.facts]
    words = f"Tests of {question.title}, one contrast per row"
    results.table("desc-tests_summary", ResultTable(_SUMMARY, rows, words))
    for answer in answers:
        say(answer.headline)
    sections: list[Section] = []
    # The viewer's averages, and the map that each opens with.
    averages: list[dict[str, Any]] = []
    maps: list[dict[str, Any]] = []
    for answer in answers:
        opens = None
        packed = answer.in_viewer(results, len(maps))
        if packed is not None:
            opens = len(maps)
            averages.append(packed[0])
            maps.append(packed[1])
        section = Section(
            answer.words[:1].upper() + answer.words[1:],
            tables=[answer.on_page()],
            figures=[answer.picture(opens)],
        )
        sections.append(section)
    facts = {
        "question": question,
        "people": people,
        "covariates": {_covariates_in_words(plan) for plan in question.plans.values()},
        "corrected": any(
            contrast.corrected is not None
            for answer in answers
            for contrast in answer.contrasts
        ),
    }
    lead = " ".join(answer.headline for answer in answers)
    viewer = None
    if maps:
        brain = write_shared_files(results.output, people.places.grid)
        viewer = viewer_data(averages, maps, backdrop=brain, root="../../")
    how = "statistics/stats_how.html"
    sections.append(Section("Methods", template=how, facts=facts, viewer=viewer))
    page = Page("Statistics", lead, people.flags, sections)
    results.page(page)


def _covariates_in_words(plan: Plan) -> str:
    """Name the covariates; the levels of a category, such as sites, are one word."""
    names = [name.partition(": ")[0] for name in plan.covariates]
    return ", ".join(dict.fromkeys(names))
