"""What the analyses share that make or judge models: inputs, folder, tables, an earlier model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.bundles.kinds import MapsKind
from bids_dtg.bundles.store import note_on_namesakes
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.errors import SettingsError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.atomic import remove_stale_in, remove_stale_temporaries
from bids_dtg.files.derivatives import prepare_output_folder
from bids_dtg.files.locks import Locks
from bids_dtg.files.provenance import running_container
from bids_dtg.files.text import read_json, write_json, write_text, write_tsv
from bids_dtg.inputs.splits_file import Families
from bids_dtg.notices import counted, named, say, show
from bids_dtg.report.workflows import CONTRASTS
from bids_dtg.settings import OPTIONS, Settings, plain
from bids_dtg.settings.toml import to_toml
from bids_dtg.version import __version__
from bids_dtg.workflows.modelling.array_source import ArraySource
from bids_dtg.workflows.modelling.cohort import Cohort, gather_cohort, refuse_to_replace
from bids_dtg.workflows.modelling.cohort_plan import CohortPlan
from bids_dtg.workflows.modelling.measured import check_measured, write_measured
from bids_dtg.workflows.modelling.source import DatasetSource, Source
from bids_dtg.workflows.participant.call import with_whole_paths
from bids_dtg.workflows.participant.model import Model

# Of an analysis, in its folder: its options for people, and for comparing them with others.
CONFIGURATION_FILE, _OPTIONS_FILE = "configuration.toml", "configuration_sha256.json"
# Groups of options that a model depends on, and options in them that it does not.
_SHAPING = ("input", "selection", "model", "cleaning", "modelling")
_FREE = {
    *("output_dir", "model_name", "device", "gpus", "bids_database_dir", "templateflow_download"),
    "workflow",
}
# Of an evaluation, in its folder: whose it is.
EVALUATED_FILE = "desc-evaluated_model.json"
Result = Literal["model", "evaluation", "prediction"]
_DEFAULT_NAME = "own"  # of a model that is made
# Locks of the arrays of people: who makes some, and, each by its folder, who uses them.
_CACHE_LOCK, _CACHE_USERS = "cache", "cache-used-by-"


@dataclass(frozen=True, eq=False)
class Analysis:
    """One call of an analysis."""

    settings: Settings  # its options
    name: str  # of the model that is made, or of the evaluation
    makes: Result  # what comes of it
    repeatable: bool  # whether it may be given again once its model is made
    source: Source  # where people come from, and the bundle
    model: Model  # of the bundle, prepared when it is first needed
    form: Form  # of the connectomes that people are read to
    folder: Path  # where its results go, below the output folder

    @classmethod
    def prepare(
        cls,
        settings: Settings,
        *,
        makes: Result = "model",
        repeatable: bool = True,
        kind: MapsKind | None = None,
    ) -> Analysis:
        """Check everything that can be checked before anything is written.

        Parameters
        ----------
        settings
            Options of the call.
        makes
            What comes of it: a model, or an evaluation or predictions of one, which names the
            folder.
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
        source: Source
        if settings.modelling.input_arrays:
            source = ArraySource.prepare(settings, kind, measured=makes != "prediction")
        else:
            source = DatasetSource.prepare(settings, kind)
        card = source.bundle.card
        name = settings.modelling.model_name or (_DEFAULT_NAME if makes == "model" else card.name)
        analysis = cls(
            settings=settings,
            name=name,
            makes=makes,
            repeatable=repeatable,
            source=source,
            model=source.model(),
            form=kind.form(settings.modelling.connectome) if kind else card.part.connectome,
            folder=source.output.path("group") / f"{makes}-{name}",
        )
        analysis._refuse_other_results()
        return analysis

    def with_maps_of(self, training: Sequence[str]) -> Analysis:
        """Return the same with ROI maps made from training people's rest."""
        return dataclasses.replace(self, source=self.source.with_maps_of(training))

    def _refuse_other_results(self) -> None:
        if self.makes == "model":
            refuse_other_model(self.settings, self.folder, repeatable=self.repeatable)
        else:
            _refuse_other_evaluation(self.folder, self.bundle, self.makes)

    @property
    def bundle(self) -> ModelBundle:
        """The bundle of the call."""
        return self.source.bundle

    @property
    def store(self) -> ArrayStore:
        """Arrays of this analysis alone."""
        return ArrayStore(self.folder / "arrays")

    @property
    def families(self) -> Families:
        """Who belongs to which family."""
        return self.source.families

    def plan(self, contrasts: Sequence[Contrast] | None) -> CohortPlan:
        """Find out who has both scans, without reading any; None: all contrasts of the maps."""
        plan = self.source.plan(contrasts)
        for why in sorted(set(plan.left_out.values())):
            who = [label for label, reason in plan.left_out.items() if reason == why]
            say(f"left out: {counted(len(who), 'participant')} with {why} ({named(who)})")
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

    @property
    def is_dry(self) -> bool:
        """Whether nothing is to be written."""
        return self.settings.behaviour.dry_run

    def print_plan(self, plan: CohortPlan, sets: Mapping[str, Sequence[str]]) -> int:
        """Print what the call would do, once all is checked that can be; return 0, as no failure.

        Parameters
        ----------
        plan
            Who has what.
        sets
            Who would be used for what.
        """
        labels = [row.label for row in plan.contrasts]
        show(self.source.words)
        show(f"{counted(len(labels), 'contrast')} ({plan.statistic}): {', '.join(labels)}")
        for use, people in sets.items():
            if people:
                show(f"to {use}: {counted(len(people), 'participant')} ({named(people)})")
        what = {
            "model": f"the model {self.name}",
            "evaluation": f"scores of {self.bundle.card.name}",
            "prediction": f"maps by {self.bundle.card.name}",
        }[self.makes]
        show(f"would write {what} to {self.folder}, and arrays of people to {self._cache}")
        show("no image was read, and no output was written")
        return 0

    @property
    def _cache(self) -> Path:
        """Where people's arrays are kept, for all analyses of an output."""
        return self.source.output.path("group") / "cache"

    def _with_rest(self, plan: CohortPlan) -> CohortPlan:
        """Leave out whose rest cannot be used, as far as headers and tables show that."""
        failures = {label: why for label in plan.labels if (why := self.source.why_no_rest(label))}
        for label, why in failures.items():
            say(f"sub-{label} would be left out: {why}")
        return plan.of([label for label in plan.labels if label not in failures])

    def _claim(self) -> None:
        """Write whose evaluation the folder holds, so that no other model's replaces it."""
        card = self.bundle.card
        facts = {
            "ModelName": card.name,
            "ModelVersion": card.version,
            "ModelKind": card.kind,
            "ModelSHA256": self.bundle.identity,
        }
        write_json(self.folder / EVALUATED_FILE, facts)

    @contextmanager
    def begun(self) -> Iterator[Locks]:
        """Begin: from here on the analysis writes, and no other one writes to its folder.

        Raises
        ------
        SettingsError
            Another call works there, or it has just made a model.
        """
        output = self.source.output
        prepare_output_folder(output.root)
        with output.locks(say) as locks:
            locks.require(
                self.folder.name, what=str(self.folder), remedy="choose another --model-name"
            )
            # While this call was checking, another one may have ended.
            self._refuse_other_results()
            for folder in (output.root, self.folder.parent):
                remove_stale_in(folder)
            remove_stale_temporaries(self.folder)
            if note := note_on_namesakes(self.settings.inputs.model):
                say(note)
            yield locks

    def cohort(self, plan: CohortPlan, locks: Locks) -> Cohort:
        """Read everybody, or take what an earlier analysis of the same output has read.

        Raises
        ------
        SettingsError
            Another analysis is reading people, or uses arrays that this one would replace.
        DatasetError
            Nobody's data can be used.
        """
        output = self.source.output
        store, elsewhere = ArrayStore(self._cache), "choose another OUTPUT_DIR"
        locks.require(_CACHE_LOCK, what=f"{self._cache}, to read people,", remedy=elsewhere)
        arrays = self.source.arrays(plan, store, self.form)
        refuse_to_replace(arrays, locks.others(_CACHE_USERS))
        locks.take(f"{_CACHE_USERS}{self.folder.name}")
        remove_stale_temporaries(self._cache)
        notes = output.describe(
            self.source.dataset,
            CONTRASTS.dataset_words(self.bundle.card),
            version=__version__,
            container=running_container(),
        )
        for note in notes:
            say(note)
        if self.makes != "model":
            self._claim()
        write_text(self.folder / CONFIGURATION_FILE, self._configuration())
        write_json(self.folder / _OPTIONS_FILE, _shaping_options(self.settings))
        cohort = gather_cohort(arrays, self.source.make, self.source.dataset.root)
        locks.release(_CACHE_LOCK)
        if self.makes == "prediction":
            return cohort
        measured = check_measured(plan, cohort, self.bundle.places)
        write_measured(self.folder, self.source.place, plan, measured)
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

    def _configuration(self) -> str:
        """Return the options of the call; names stand for folders, as models are passed on."""
        return to_toml(with_whole_paths(self.settings), self.source.path_names.hide)

    def write_scores(
        self, tables: Mapping[str, Sequence[Mapping[str, Any]]], facts: Mapping[str, Any]
    ) -> None:
        """Write tables that have rows, by name, and what their columns mean."""
        for name, nested in tables.items():
            rows = [_flat(row) for row in nested]
            if not rows:
                continue
            columns = list(dict.fromkeys(key for row in rows for key in row))
            table = self.folder / f"desc-{name}_scores.tsv"
            write_tsv(table, columns, [[row.get(c) for c in columns] for row in rows])
        write_json(self.folder / "desc-models_scores.json", dict(facts))


def refuse_other_model(settings: Settings, folder: Path, *, repeatable: bool) -> None:
    """Refuse to begin where a model lies that other options made, or any if not `repeatable`.

    The same options make the same model, so that a command can be given again.

    Raises
    ------
    SettingsError
        Naming the options that differ.
    """
    bundle = folder / "bundle"
    if not bundle.exists():
        return
    differing = _differing(settings, folder / _OPTIONS_FILE)
    if differing or not repeatable:
        how = f", made with other options ({', '.join(differing)})" if differing else ""
        raise SettingsError(
            f"{bundle} holds a model already{how}",
            remedy=f"choose another --model-name, or remove {bundle} to make it anew",
        )


def _refuse_other_evaluation(folder: Path, bundle: ModelBundle, makes: str) -> None:
    """Refuse to write over what was made with another model, or with one that nobody knows.

    `makes` is `evaluation` or `prediction`.

    Raises
    ------
    SettingsError
        Naming that model.
    """
    # A call that was killed as it began has left nothing, or temporaries.
    if not folder.exists() or all(path.name.startswith(".dtg-") for path in folder.iterdir()):
        return
    facts = read_json(folder / EVALUATED_FILE)
    if facts.get("ModelSHA256") == bundle.identity:
        return
    other = f"{facts.get('ModelName', 'an unknown model')} {facts.get('ModelVersion', '')}".strip()
    raise SettingsError(
        f"{folder} holds the {makes} of another model ({other})",
        remedy=f"choose another --model-name, or remove {folder}",
    )


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Put a mean and its interval into three columns."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, list):
            flat |= dict(zip((key, f"{key}_low", f"{key}_high"), value, strict=True))
        else:
            flat[key] = value
    return flat


def _differing(settings: Settings, path: Path) -> list[str]:
    """Return the options that are not those in a file; all where it cannot be read."""
    earlier = read_json(path)
    if not earlier:
        return ["unknown"]
    now = _shaping_options(settings)
    return ["--" + name.replace("_", "-") for name in now if earlier.get(name) != now[name]]


def _shaping_options(settings: Settings) -> dict[str, str]:
    """Return a hash of each option that a model depends on: some are paths of this machine."""
    schedule = {  # in numbers, as they may be given too
        "epochs": settings.modelling.network_epochs,
        "batch_size": settings.modelling.network_batch,
        "learning_rate": settings.modelling.network_rate,
    }
    values = {**with_whole_paths(settings).options, **schedule}
    return {
        name: hashlib.sha256(json.dumps(plain(values[name])).encode()).hexdigest()
        for name, option in OPTIONS.items()
        if option.group in _SHAPING and name not in _FREE
    }
