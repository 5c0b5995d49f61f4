"""Common to analyses that train or evaluate models: inputs, folder, tables, an earlier model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from bids_dtg.bundles.store import note_on_namesakes
from bids_dtg.cohort.basis import BUNDLE, Basis, OwnModel, UsedModel
from bids_dtg.cohort.copies import Sketches, copies_in_words, with_copies
from bids_dtg.cohort.result_folder import DEFAULT_NAME, ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.cohort.seen_people import EXCLUDED
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.analyses.cohort import (
    Cohort,
    gather_cohort,
    nobody,
    reduce_everybody,
    refuse_to_replace,
)
from bids_dtg.contrasts.analyses.cohort_plan import CohortPlan, own_names
from bids_dtg.contrasts.analyses.measured import check_measured, write_measured
from bids_dtg.contrasts.analyses.person_arrays import PersonArrays
from bids_dtg.contrasts.analyses.source import Source
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import MapsKind
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.panels.presentation import PRESENTATION
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.plan import CHECKPOINTS
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.atomic import remove_stale_temporaries
from bids_dtg.files.locks import Locks
from bids_dtg.inputs.splits_file import Families
from bids_dtg.notices import counted, named, say, show
from bids_dtg.settings import Settings
from bids_dtg.stats.group_ica import group_maps

Result = Literal["model", "evaluation"]
_ARRAYS = "arrays"  # folder of an analysis' own
WORK = "folds"  # its folder of what serves until the model is made
FOLDS = "desc-folds_participants"  # table of the groups of a cross-validation
_CAN_WRITE = (
    *(f"{BUNDLE}/", f"{_ARRAYS}/", f"{CHECKPOINTS}/"),
    *("desc-*_scores", "desc-targets_files", "desc-measuredMaps_qc", "desc-split_participants"),
    *(FOLDS, EXCLUDED),
)
# Locks of the arrays of people: who makes some and, one for each folder, who uses them.
_CACHE_LOCK, _CACHE_USERS = "cache", "cache-used-by-"


@dataclass(frozen=True, eq=False)
class Analysis:
    """One call of an analysis."""

    settings: Settings  # its options
    makes: Result  # what the call makes
    results: ResultFolder  # where results go, below the output folder
    source: Source  # where people and the bundle are read from
    model: Model  # the bundle's model, prepared at its first use
    # Of each fold of a cross-validation, with ROI maps of its own training people; (): as `source`.
    folds: tuple[Source, ...] = ()

    @classmethod
    def prepare(
        cls,
        settings: Settings,
        *,
        makes: Result = "model",
        repeatable: bool = True,
        kind: MapsKind | None = None,
    ) -> Analysis:
        """Check options, dataset and model before anything is written.

        Parameters
        ----------
        settings
            Options of the call, composed and checked.
        makes
            What comes of it: a model, or an evaluation of one, which names the folder.
        repeatable
            Whether the call may be given again once its model is made.
        kind
            Of a model that is to be trained: it decides which form of the connectome people are
            read to, and whether runs are cut; None: as ``--model`` reads.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, dataset or model.
        """
        source = Source.prepare(settings, kind)
        bundle, card = source.bundle, source.bundle.card
        own = makes == "model"
        basis: Basis = UsedModel.of(card, bundle.identity, makes)
        if own:
            basis = OwnModel(settings, repeatable)
        name = settings.modelling.model_name or (DEFAULT_NAME if own else card.name)
        results = ResultFolder(
            settings,
            source.output,
            f"{makes}-{name}",
            _CAN_WRITE,
            basis,
            source.path_names,
        )
        results.refuse_others()
        return cls(
            settings=settings,
            makes=makes,
            results=results,
            source=source,
            model=source.model(),
        )

    def learning(self, kind: MapsKind, training: int) -> Analysis:
        """Decide whether ROI maps are made of the rest of so many training people."""
        return dataclasses.replace(self, source=self.source.learning(kind, training))

    @property
    def form(self) -> Form:
        """The form of the connectomes that people are read to."""
        return self.source.form

    @property
    def name(self) -> str:
        """Name of the model that is made, or of the evaluation."""
        return self.results.name.removeprefix(f"{self.makes}-")

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return self.results.path

    @property
    def bundle(self) -> ModelBundle:
        """The bundle that the call reads."""
        return self.source.bundle

    @property
    def store(self) -> ArrayStore:
        """Folder of the arrays that belong to this analysis alone."""
        return ArrayStore(self.folder / _ARRAYS)

    @cached_property
    def families(self) -> Families:
        """Families of the participants; labels with the same rest, once it was read, are one.

        Raises
        ------
        DatasetError
            Two sessions of a person have the same rest.
        """
        return with_copies(self.source.families, self.source.sketches)

    def knowing(self, cohort: Cohort) -> Analysis:
        """Return a copy that knows who has the same rest, once people were read; report them."""
        return self._knowing({p.label: p.sketches for p in cohort.people})

    def _knowing(self, sketches: Sketches) -> Analysis:
        source = self.source.with_sketches(sketches)
        made, said = dataclasses.replace(self, source=source), self.source.sketches
        for line in copies_in_words(made.families, source.sketches):
            if line not in copies_in_words(self.families, said):
                say(line)
        return made

    def plan(self, contrasts: Sequence[Contrast] | None, *, everything: bool = False) -> CohortPlan:
        """Plan from file names who has both scans; None: all contrasts of the maps.

        `--contrast` chooses among them, unless everything is asked for.
        """
        plan = self.source.plan(contrasts, everything=everything)
        for why in sorted(set(plan.left_out.values())):
            who = [label for label, reason in plan.left_out.items() if reason == why]
            say(f"left out: {counted(len(who), 'participant')} with {why} ({named(who)})")
        if contrasts is None and (note := own_names(plan.contrasts)):
            plan = dataclasses.replace(plan, notes=(*plan.notes, note))
        for line in (plan.sessions, *plan.files, *plan.notes):
            if line:
                say(line)
        predicted = self.bundle.card.part.statistic
        if contrasts is not None and plan.statistic != predicted:
            say(
                f"the model predicts {predicted} and the measured maps are {plan.statistic}: their "
                "scales and intervals cannot be compared"
            )
        return self._with_rest(plan) if self.is_dry else plan

    def of_data(self, plan: CohortPlan) -> Analysis:
        """Return the same for a model that rests on the data of a plan.

        Raises
        ------
        SettingsError
            A model is there that was made of other data.
        """
        files = self.source.files(plan)
        return dataclasses.replace(self, results=self.results.of_data(files, self.dataset_root))

    @property
    def dataset_root(self) -> Path:
        """The folder that names the data set."""
        return self.source.dataset.root

    @property
    def is_dry(self) -> bool:
        """Whether the call is a dry run."""
        return self.settings.behaviour.dry_run

    def print_plan(self, plan: CohortPlan, sets: Mapping[str, Sequence[str]]) -> int:
        """Print what the call would do; return 0, the number of failures."""
        labels = [row.label for row in plan.contrasts]
        show(self.source.words)
        show(f"{counted(len(labels), 'contrast')} ({plan.statistic}): {', '.join(labels)}")
        for use, people in sets.items():
            if people:
                show(f"to {use}: {counted(len(people), 'participant')} ({named(people)})")
        what = {
            "model": f"the model {self.name}",
            "evaluation": f"scores of {self.bundle.card.name}",
        }[self.makes]
        show(f"would write {what} to {self.folder}, and arrays of people to {self._cache}")
        show("no image was read, and no output was written")
        return 0

    @property
    def _cache(self) -> Path:
        """Folder of people's arrays, which all analyses of an output share."""
        return self.source.output.path("group") / "cache"

    def _with_rest(self, plan: CohortPlan) -> CohortPlan:
        """Leave out people whose rest cannot be used, as far as headers and tables show it."""
        failures = {label: why for label in plan.labels if (why := self.source.why_no_rest(label))}
        for label, why in failures.items():
            say(f"sub-{label} would be left out: {why}")
        return plan.of([label for label in plan.labels if label not in failures])

    @contextmanager
    def begun(self) -> Iterator[Locks]:
        """Lock the folder and start to write.

        Raises
        ------
        SettingsError
            Another call works in this folder, or has just made a model in it.
        """
        with self.results.begun() as locks:
            if note := note_on_namesakes(self.settings.inputs.model):
                say(note)
            yield locks

    def cohort(self, plan: CohortPlan, locks: Locks) -> Cohort:
        """Read everybody, as `read`, and start to write, as `with_measured`."""
        return self.with_measured(plan, self.read(plan, locks))

    def read(
        self, plan: CohortPlan, locks: Locks, failures: Mapping[str, str] | None = None
    ) -> Cohort:
        """Read everybody, or map the arrays that an earlier analysis of this output has made.

        Parameters
        ----------
        plan
            Who is read.
        locks
            Locks of the output.
        failures
            Why people who are no longer in the plan could not be used, by label.

        Raises
        ------
        SettingsError
            Another analysis is reading people, or uses arrays that this one would replace.
        DatasetError
            Nobody's data can be used.
        """
        arrays = self._begin(self._arrays(plan), locks)
        cohort = gather_cohort(arrays, self.source.dataset.root, failures)
        locks.release(_CACHE_LOCK)
        return cohort

    def _arrays(self, plan: CohortPlan, *, reduces: bool = False) -> PersonArrays:
        folds = () if reduces else tuple(source.bundle for source in self.folds)
        work = ArrayStore(self.store.root / WORK)
        store = ArrayStore(self._cache)
        return PersonArrays(
            plan, store, self.source.request, reduces=reduces, folds=folds, work=work
        )

    def of_fold(self, number: int, plan: CohortPlan, cohort: Cohort) -> tuple[Analysis, Cohort]:
        """Return analysis and people of a fold, whose ROI maps are of its training people."""
        if not self.folds:
            return self, cohort
        arrays = self._arrays(plan)
        people = tuple(arrays.open(label, number) for label in cohort.labels)
        source = self.folds[number - 1].with_sketches(self.source.sketches)
        analysis = dataclasses.replace(self, source=source, folds=())
        return analysis, dataclasses.replace(cohort, people=people)

    def reduce(self, plan: CohortPlan, locks: Locks) -> tuple[Analysis, CohortPlan, dict[str, str]]:
        """Reduce everybody's rest, for ROI maps; return who has the same, and who cannot be used.

        Raises
        ------
        SettingsError, DatasetError
            As for `read`.
        """
        arrays = self._arrays(plan, reduces=True)
        failures = reduce_everybody(self._begin(arrays, locks))
        kept = [label for label in plan.labels if label not in failures]
        if not kept:
            raise nobody(self.source.dataset.root, failures)
        analysis = self._knowing({label: arrays.sketches(label) for label in kept})
        locks.release(_CACHE_LOCK)
        return analysis, plan.of(kept), failures

    def with_maps_of(self, plan: CohortPlan, people: Sequence[str], name: str) -> Source:
        """Return the source with ROI maps by group ICA of some people, whose rest was reduced.

        A killed call's maps are found again by their `name`.
        """
        arrays = self._arrays(plan, reduces=True)
        store = ArrayStore(self.store.root / WORK)
        modelling = self.settings.modelling
        facts = {
            "people": {label: arrays.facts_of_rest(label, self.bundle) for label in people},
            "sets": list(self.source.learns),
            "seed": modelling.seed,
        }
        if not store.has(name, facts):
            self.results.add(f"{_ARRAYS}/")
            say(f"{name}: group ICA of {counted(len(people), 'participant')}")
            reduced = [arrays.reduced(label) for label in people]
            maps, records = group_maps(reduced, self.source.learns, modelling.seed, say)
            store.write(name, maps, facts, {"records": records})
        return self.source.with_maps(store.read(name), store.notes(name)["records"])

    def _begin(self, arrays: PersonArrays, locks: Locks) -> PersonArrays:
        """Lock the arrays of people, to make some."""
        locks.require(
            _CACHE_LOCK,
            what=f"{self._cache}, to read people,",
            remedy="choose another OUTPUT_DIR",
        )
        refuse_to_replace(arrays, locks.others(_CACHE_USERS))
        locks.take(f"{_CACHE_USERS}{self.folder.name}")
        remove_stale_temporaries(self._cache)
        words = PRESENTATION.dataset_words(self.bundle.card)
        self.results.describe(self.source.dataset, words)
        return arrays

    def with_measured(self, plan: CohortPlan, cohort: Cohort) -> Cohort:
        """Write what was found in the measured maps; return the cohort with sentences on them."""
        self.results.add(f"{_ARRAYS}/")
        measured = check_measured(plan, cohort, self.bundle.places)
        write_measured(self.results, self.source.place, plan, measured)
        lines = measured.lines(plan.contrast_labels)
        for line in lines:
            say(f"measured maps: {line}")
        sentences = (
            *plan.of(cohort.labels).files,
            *plan.notes,
            *(lines or ("no finding in any measured map",)),
        )
        cohort = dataclasses.replace(cohort, measured=sentences)
        say(
            f"{counted(len(cohort.people), 'participant')} with rest and maps, "
            f"{counted(len(cohort.contrasts), 'contrast')} ({cohort.statistic}); "
            f"{len(cohort.left_out)} left out"
        )
        return cohort

    def folder_of_fit(self) -> Path:
        """Return the folder of a fit's checkpoints, and record it as this analysis' own."""
        self.results.add(f"{CHECKPOINTS}/")
        return self.folder

    def write_scores(self, tables: Mapping[str, ResultTable], facts: Mapping[str, Any]) -> None:
        """Write tables of scores by name; `facts` extend the models' table's dictionary."""
        for name, table in tables.items():
            self.results.table(f"desc-{name}_scores", table)
        self.results.json("desc-models_scores", {**tables["models"].dictionary(), **facts})
