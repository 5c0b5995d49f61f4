"""Deviations of participants' regions from norms given age, sex and site."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

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
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.extras import install_line
from bids_dtg.files.names import build_name
from bids_dtg.files.temporary import temporary_folder
from bids_dtg.inputs.participants import SITE_COLUMNS, plain_column
from bids_dtg.inputs.participants import Column as Known
from bids_dtg.notices import counted, duration, named, say
from bids_dtg.report.pages.analysis import AnalysisPageFacts
from bids_dtg.settings import Settings
from bids_dtg.statistics.normative.page import (
    ContrastNorms,
    KindExtremes,
    NormsFound,
    answer,
    sections,
)
from bids_dtg.stats.cohort.normative import (
    LEVEL_SPREAD_FROM,
    SPREADS_FROM,
    Extremes,
    NormCovariates,
    Scores,
    Standing,
    ToolkitMissingError,
    add_extremes,
    compare_with_normal,
    count_extremes,
    explained,
    load_toolkit,
    normal_quantiles,
    score_people,
    score_plainly,
    stand,
)
from bids_dtg.stats.splits import fold_people

# With fewer the scores of simulated people come out too wide (docs/explanation/statistics.md).
LEAST_PEOPLE = 50
_DRAWS_FOR_EACH, _MOST_DRAWS = 100, 50_000  # people drawn by chance for each participant
_FEW = 10  # people of a level: smaller ones are reported
_AGE, _SEX = ("age", "ageyears", "ageinyears"), ("sex", "gender")
_KINDS = ("regions", "region-deviations", "edges")  # features with a norm for each column
_WRITES = ("*_scores", "desc-participants_norms", "desc-regions_norms")
_SECONDS = 20  # between reports of progress

_FEATURES = Column("features", "What was scored: a value of --feature-sets")
_REGION = Column("region", "Region, or edge")
_SCORES = (
    Column("participant_id", "Participant"),
    _REGION,
    Column("value", "The participant's value"),
    Column(
        "expected",
        "The norm: expected value for people of the same age, sex and site (or other "
        "--covariates), estimated from people of other folds",
    ),
    Column("sd", "Predictive standard deviation: spread of people and uncertainty of the norm"),
    Column("z", "(value - expected) / sd"),
    Column(
        "plain_z",
        "For comparison: (value - mean) / standard deviation of the same other people, regardless "
        "of covariates",
    ),
)
_PEOPLE = (
    Column("participant_id", "Participant"),
    _FEATURES,
    Column("contrast", "Contrast of the maps; all: together"),
    Column("fold", "Fold of the participant: its people were left out of the norms"),
    Column("regions", "Regions with a score"),
    Column("extreme", "Number of these regions with |z| above 2"),
    Column("expected", "Expected number if z follows N(0, 1)"),
    Column(
        "expected_95",
        "95th percentile of this number in simulated people with the same correlations",
    ),
    Column("p", "Share of simulated people with as many or more"),
    Column(
        "q",
        "The same corrected for all participants (Benjamini and Hochberg): of all contrasts "
        "together",
    ),
    Column(
        "conditional_sd",
        "Whether sd depends on the participant's covariates; otherwise it is common to all",
    ),
    Column("extrapolated", "Whether a covariate is outside the range of the people of other folds"),
)
_REGIONS = (
    _FEATURES,
    Column("contrast", "Contrast of the maps"),
    _REGION,
    Column(
        "r2",
        "Share of the variance of held-out people that the covariates explain: 1 - squared "
        "distance from the norm / squared distance from the mean. 0 and below: z is a plain "
        "z-score",
    ),
    Column("sd", "Standard deviation of z"),
    Column("extreme", "Share of |z| above 2: 0.0455 in N(0, 1)"),
    Column("ks_p", "p of the Kolmogorov-Smirnov test of z against N(0, 1)"),
    *(
        Column(f"plain_{name}", f"The same of plain z-scores: {name}")
        for name in ("sd", "extreme", "ks_p")
    ),
)


def run_normative(settings: Settings) -> int:
    """Score participants against norms; return how many were left out as they cannot be read.

    Raises
    ------
    DatasetError, SettingsError
        There is no covariate to be smooth over, no region, too few people, or no PCNtoolkit.
    """
    people = gather_people(settings)
    asked = _asked(people)
    people = people.complete([column.name for column in asked])
    sources = find_features(people, ("regions",))
    _require_names(sources)
    for source in sources:
        _require_people(len([label for label in people.labels if label in source.has]))
    cohort = _Cohort.of(people, asked)
    if settings.behaviour.dry_run:
        return print_plan(sources, cohort.words())
    _require_toolkit()
    results = ResultFolder.of(settings, people.output, *_WRITES)
    with results.begun(), temporary_folder() as folder:
        study = _Study(cohort, results)
        for number, source in enumerate(sources):
            study.add(source, folder, len(sources) - number)
        study.write()
    return len(study.failed)


def _asked(people: GroupPeople) -> list[Known]:
    """Return the columns of ``--covariates``, else age, sex and site, if present.

    Raises
    ------
    SettingsError
        A column is missing, or none is of numbers.
    """
    names, table = people.settings.statistics.covariates, people.table
    if names:
        asked = {column.name: column for column in map(people.column, names)}
    elif table is None:
        raise SettingsError(
            "there is no table of participants to take age, sex and site from",
            expected="--participants-file TSV, or participants.tsv in BIDS_DIR",
        )
    else:
        usual = [table.first_of(keys) for keys in (_AGE, _SEX, SITE_COLUMNS)]
        if usual[0] is None:
            raise SettingsError(
                f"{table.path} has no column age, which norms are given for",
                expected=f"of {named(list(table.columns))} those to use, with --covariates",
            )
        found = [people.column(column.name) for column in usual if column is not None]
        # A column with gaps is kept: `complete` removes the participants who lack it.
        asked = {column.name: column for column in found if len(column.levels) > 1}
    if not any(_is_smooth(column) for column in asked.values()):
        raise SettingsError(
            f"--covariates: {named(list(asked)) or 'age'} has no numbers that differ",
            expected="a column of numbers, such as age: a norm is a curve over it",
        )
    return list(asked.values())


def _is_smooth(column: Known) -> bool:
    """Return whether a column is numeric: not a site, nor a column of two levels."""
    site = plain_column(column.name) in SITE_COLUMNS
    return column.is_number and len(column.levels) > 2 and not site


def _require_names(sources: Sequence[FeatureSource]) -> None:
    for source in sources:
        if source.kind.name not in _KINDS:
            raise SettingsError(
                f"--feature-sets {source.kind.name}: norms take seconds for each column, and "
                "voxels are too many",
                expected=f"of {', '.join(_KINDS)}",
            )


def _require_people(people: int) -> None:
    if people < LEAST_PEOPLE:
        raise DatasetError(
            f"only {counted(people, 'participant')} with complete data: scores of so few "
            "vary too much",
            expected=f"{LEAST_PEOPLE} or more",
        )


def _require_toolkit() -> None:
    try:
        load_toolkit()
    except ToolkitMissingError as err:
        raise SettingsError(
            f"--analysis normative needs PCNtoolkit: {err}",
            remedy=f"{install_line('normative')}, with Python 3.11 or 3.12",
        ) from err


@dataclass(frozen=True, eq=False)
class _Cohort:
    """The people to score, their covariates and folds."""

    people: GroupPeople
    smooth: tuple[Known, ...]
    levels: tuple[Known, ...]
    folds: Mapping[str, int]  # by label

    @classmethod
    def of(cls, people: GroupPeople, asked: Sequence[Known]) -> _Cohort:
        """Draw whole families into folds."""
        options = people.settings
        drawn = fold_people(
            people.labels,
            options.statistics.cross_validated,
            seed=options.modelling.seed,
            families=people.related.by_label,
        )
        return cls(
            people,
            tuple(column for column in asked if _is_smooth(column)),
            tuple(column for column in asked if not _is_smooth(column)),
            {label: fold for fold, labels in enumerate(drawn) for label in labels},
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the covariates."""
        return tuple(column.name for column in (*self.smooth, *self.levels))

    def covariates(self, labels: Sequence[str]) -> NormCovariates:
        """Return the covariates of some people, in their order.

        Raises
        ------
        SettingsError
            A number is the same for all of them.
        """
        numbers = [[column.numbers[label] for column in self.smooth] for label in labels]
        levels = [[column.texts[label] for column in self.levels] for label in labels]
        try:
            return NormCovariates(
                np.array(numbers, np.float64),
                tuple(column.name for column in self.smooth),
                np.array(levels, str).reshape(len(labels), len(self.levels)),
                tuple(column.name for column in self.levels),
            )
        except ValueError as err:
            raise SettingsError(f"--covariates: {err}", remedy="leave it out") from err

    def fold_numbers(self, labels: Sequence[str]) -> NDArray[np.intp]:
        """Return the fold of each, (people,)."""
        return np.array([self.folds[label] for label in labels], np.intp)

    def words(self) -> list[str]:
        """Describe folds and norms, and people whose scores are less reliable."""
        labels = self.people.labels
        folds = len(set(self.folds.values()))
        families = len(np.unique(self.people.families))
        lines = [
            f"{counted(len(labels), 'participant')} in {folds} folds of whole families (seed "
            f"{self.people.settings.modelling.seed}), each scored by norms of the other folds; "
            f"a participant without a known relative is a family: {families} families.",
            f"Norms: PCNtoolkit's Bayesian linear regression, smooth over "
            f"{named([column.name for column in self.smooth])}"
            + (
                f", with an offset and a spread for each level of "
                f"{named([column.name for column in self.levels])}."
                if self.levels
                else "."
            ),
        ]
        return lines + self._warnings(stand(self.covariates(labels), self.fold_numbers(labels)))

    def _warnings(self, standing: Standing) -> list[str]:
        return [
            *self._of(
                ~standing.scored,
                "without a score: nobody of the other folds has their "
                f"{named([column.name for column in self.levels])}",
            ),
            *self._few(),
            *self._of(
                standing.scored & ~standing.own_spread,
                f"scored by the spread of everybody: with fewer than {SPREADS_FROM} people in "
                f"other folds, or {LEVEL_SPREAD_FROM} of a level, others are unreliable",
            ),
            *self._of(
                standing.beyond,
                f"with {named([column.name for column in self.smooth])} below or above all of the "
                "other folds: their norms are extrapolated",
            ),
        ]

    def _of(self, who: NDArray[np.bool_], words: str) -> list[str]:
        labels = [f"sub-{label}" for label in np.array(self.people.labels)[who]]
        people = counted(len(labels), "participant")
        return [f"{people} {words} ({named(labels)})."] if labels else []

    def _few(self) -> list[str]:
        """Name levels of few people."""
        lines = []
        for column in self.levels:
            own = [column.texts[label] for label in self.people.labels]
            few = [level for level in column.levels if 0 < own.count(level) < _FEW]
            if few:
                what = f"{column.name} {named(few)}"
                lines.append(
                    f"{what}: fewer than {_FEW} participants each: the offset of their norms is "
                    "uncertain, and their scores vary more."
                )
        return lines


class _Progress:
    """Reports progress and the expected remaining time."""

    def __init__(self, title: str, columns: int, rest: int) -> None:
        self._title, self._columns, self._rest = title, columns, rest
        self._began = self._said = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if done == 1 or now - self._said > _SECONDS:
            each = (now - self._began) / done
            here = duration(each * (self._columns - done))
            after = f", {duration(each * self._rest)} for what follows" if self._rest else ""
            share = done / self._columns
            say(f"{share:4.0%} {self._title}: about {here} left{after} ({each:.2g} s a region)")
            self._said = now


class _ScoreRows(Sequence[Mapping[str, object]]):
    """Rows of a table of scores, made while it is written: 10,000 people have millions."""

    def __init__(self, table: FeatureTable, scores: Scores, plain: Scores) -> None:
        self._table, self._scores, self._plain = table, scores, plain

    def __len__(self) -> int:
        return int(self._table.values.size)

    @overload
    def __getitem__(self, place: int) -> Mapping[str, object]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Mapping[str, object]]: ...
    def __getitem__(
        self, place: int | slice
    ) -> Mapping[str, object] | Sequence[Mapping[str, object]]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        person, column = divmod(place, len(self._table.names))
        return {
            "participant_id": f"sub-{self._table.labels[person]}",
            "region": self._table.names[column],
            "value": self._table.values[person, column],
            "expected": self._scores.expected[person, column],
            "sd": self._scores.sd[person, column],
            "z": self._scores.z[person, column],
            "plain_z": self._plain.z[person, column],
        }


class _Study:
    """All norms of a call."""

    def __init__(self, cohort: _Cohort, results: ResultFolder) -> None:
        self._cohort, self._results = cohort, results
        self._words = cohort.words()
        self._found: list[ContrastNorms] = []
        self.failed: dict[str, str] = {}  # participants who could not be read, and why
        for line in self._words:
            say(line)

    def add(self, source: FeatureSource, folder: Path, sources: int) -> None:
        """Score one kind of features, a contrast at a time."""
        people = self._cohort.people
        lacking = [f"sub-{label}" for label in people.labels if label not in source.has]
        if lacking:
            who = f"{counted(len(lacking), 'participant')} without {source.kind.words}"
            say(f"left out: {who} ({named(lacking)})")
        for number, table in enumerate(source.tables(people.of(source.has), folder)):
            self.failed |= report_failed(table, self.failed)
            _require_people(len(table.labels))
            self._score(table, len(source.contrasts) * sources - number - 1)

    def _score(self, table: FeatureTable, tables_left: int) -> None:
        covariates = self._cohort.covariates(table.labels)
        folds = self._cohort.fold_numbers(table.labels)
        columns = len(table.names)
        progress = _Progress(table.title, columns, tables_left * columns)
        scores = score_people(table.values, covariates, folds, progress=progress)
        plain = score_plainly(table.values, folds)
        entities = {"contrast": table.contrast or None, "desc": _camel(table.kind.name)}
        self._results.table(
            build_name(entities, "scores", ""),
            ResultTable(
                _SCORES,
                _ScoreRows(table, scores, plain),
                f"Participants' {table.kind.words} and their norms: a row a participant and region",
            ),
        )
        options = self._cohort.people.settings
        self._found.append(
            ContrastNorms(
                table.kind.name,
                table.contrast,
                table.labels,
                table.names,
                explained(table.values, scores, plain),
                compare_with_normal(scores.z),
                compare_with_normal(plain.z),
                normal_quantiles(scores.z),
                normal_quantiles(plain.z),
                count_extremes(
                    scores.z,
                    draws=_draws(options.statistics.map_permutations, len(table.labels)),
                    seed=options.modelling.seed,
                ),
            )
        )

    def write(self) -> None:
        """Write the tables over all contrasts, and the page."""
        kinds = list(dict.fromkeys(one.kind for one in self._found))
        together = [_together(kind, self._found) for kind in kinds]
        found = NormsFound(self._found, together, self._cohort.names, self._words)
        self._results.table(
            "desc-participants_norms",
            ResultTable(
                _PEOPLE,
                list(self._people_rows(together)),
                "Number of each participant's regions far from the norm, and chance: a row "
                "a participant and contrast",
            ),
        )
        self._results.table(
            "desc-regions_norms",
            ResultTable(
                _REGIONS,
                [row for one in self._found for row in _region_rows(one)],
                "What norms explain, and how normal scores are: a row a contrast and region",
            ),
        )
        words = answer(found)
        people = self._cohort.people
        flags = [*people.flags, *people.flag_on_sites()]
        self._results.page(AnalysisPageFacts("Norms of regions", words, flags, sections(found)))
        say(words)

    def _people_rows(self, together: Sequence[KindExtremes]) -> Iterator[dict[str, object]]:
        for kind in together:
            for one in self._found:
                if one.kind == kind.kind:
                    nothing = np.full(len(one.labels), np.nan)
                    yield from self._rows(one.kind, one.contrast, one.labels, one.extremes, nothing)
            yield from self._rows(kind.kind, "all", kind.labels, kind.extremes, kind.q)

    def _rows(
        self,
        kind: str,
        contrast: str,
        labels: Sequence[str],
        extremes: Extremes,
        q: NDArray[np.float64],
    ) -> Iterator[dict[str, object]]:
        standing = stand(self._cohort.covariates(labels), self._cohort.fold_numbers(labels))
        for n, label in enumerate(labels):
            yield {
                "participant_id": f"sub-{label}",
                "features": kind,
                "contrast": contrast or None,
                "fold": self._cohort.folds[label] + 1,
                "regions": int(extremes.columns[n]),
                "extreme": int(extremes.count[n]) if extremes.columns[n] else None,
                "expected": extremes.expected[n],
                "expected_95": extremes.usual[n],
                "p": extremes.p[n],
                "q": q[n],
                "conditional_sd": bool(standing.own_spread[n]),
                "extrapolated": bool(standing.beyond[n]),
            }


def _region_rows(one: ContrastNorms) -> Iterator[dict[str, object]]:
    for n, name in enumerate(one.names):
        yield {
            "features": one.kind,
            "contrast": one.contrast or None,
            "region": name,
            "r2": one.r2[n],
            **{key: getattr(one.normative, key)[n] for key in ("sd", "extreme", "ks_p")},
            **{f"plain_{key}": getattr(one.plain, key)[n] for key in ("sd", "extreme", "ks_p")},
        }


def _together(kind: str, found: Sequence[ContrastNorms]) -> KindExtremes:
    """Combine a kind's contrasts, with the false discovery rate over people."""
    from scipy.stats import false_discovery_control

    own = [one for one in found if one.kind == kind]
    extremes = add_extremes([one.extremes for one in own])
    q, known = extremes.p.copy(), np.isfinite(extremes.p)
    if known.any():
        q[known] = false_discovery_control(q[known])
    return KindExtremes(kind, own[0].labels, extremes, q)


def _draws(asked: int, people: int) -> int:
    """Return the number of simulated people: enough to find a single atypical participant."""
    return min(max(asked, _DRAWS_FOR_EACH * people), max(asked, _MOST_DRAWS)) if asked else 0


def _camel(name: str) -> str:
    first, *others = name.split("-")
    return first + "".join(word.capitalize() for word in others)
