"""People with rest and measured maps: who they are, their files and their families."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from bids_dtg.cleaning.design import TooShortError
from bids_dtg.cleaning.strategies import find_strategy
from bids_dtg.cohort.known_people import EXCLUDED, with_copies
from bids_dtg.cohort.result_folder import BUNDLE, MODEL, ResultFolder
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.analyses.roi_maps import maps_in_words, parcel_template
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import KINDS, MapsKind
from bids_dtg.contrasts.contrast import Contrast, hcp_contrasts
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.contrasts.people import Person
from bids_dtg.contrasts.plan import CHECKPOINTS
from bids_dtg.errors import DatasetError, DtgError, RunError, SettingsError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.participants import Families, read_families
from bids_dtg.inputs.run import PARCELS
from bids_dtg.inputs.space_choice import names_parcels
from bids_dtg.inputs.statmaps import (
    PersonMaps,
    Statistic,
    StatMap,
    choose_statistic,
    chosen_contrasts,
    describe_files,
    describe_sessions,
    find_statmaps,
    in_space,
    name_targets,
    people_maps,
    plain_contrast,
    statmaps_place,
)
from bids_dtg.notices import counted, named, say, show
from bids_dtg.participants.run_source import plan_run
from bids_dtg.settings import OPTIONS, Settings

ARRAYS = "arrays"  # folder of the arrays of one analysis
WORK = "folds"  # its subfolder for arrays that are needed only until the model is made
FOLDS = "desc-folds_participants"  # table of the groups of a cross-validation
_CAN_WRITE = (
    *(f"{BUNDLE}/", f"{ARRAYS}/", f"{CHECKPOINTS}/"),
    *(
        "desc-*_scores",
        "desc-targets_files",
        "desc-measuredMaps_qc",
        "desc-split_participants",
    ),
    *(FOLDS, EXCLUDED),
)
SIDES = ("target", "retest")  # the maps to predict, and those of a later session


@dataclass(frozen=True, eq=False)
class Cohort:
    """The people of one analysis: first `prepare`, then `find`; `reading` reads their data.

    Raises
    ------
    DtgError
        In each method: options, files or data cannot be used.
    """

    settings: Settings  # of the run
    request: (
        Request  # input dataset, participants and the model that is read or trained
    )
    place: Path  # of the measured maps
    results: ResultFolder  # where results go, below the output folder
    maps_words: str = ""  # origin of the masks and ROI maps of a model to be trained
    learns: tuple[
        int, ...
    ] = ()  # ROIs of each set of maps to be made from the training people
    folds: tuple[
        ModelBundle, ...
    ] = ()  # models of a cross-validation with their own ROI maps

    # Known from file names.
    maps: Mapping[str, PersonMaps] = field(default_factory=dict)  # by label, sorted
    contrasts: tuple[Contrast, ...] = ()  # rows of the maps
    statistic: Statistic = "z"  # of the maps
    left_out: Mapping[str, str] = field(default_factory=dict)  # label -> reason
    notes: tuple[str, ...] = ()  # decisions on tasks, spaces and runs
    # By template of measured maps, the transform that takes points there from the model's space.
    ways: Mapping[str, Path] = field(default_factory=dict)

    # Known after reading.
    people: tuple[Person, ...] = ()  # sorted by label
    failed: int = 0  # how many are left out because their data cannot be used
    sketches: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict
    )  # of rest, by run
    # Why maps were left out: label -> target or retest -> contrast -> words.
    unusable: Mapping[str, Mapping[str, Mapping[str, str]]] = field(
        default_factory=dict
    )
    # Seconds per frame of everybody's rest; None where runs differ or it is not known.
    repetition_time_s: float | None = None
    measured: tuple[
        str, ...
    ] = ()  # sentences on the files of targets, and findings in them

    @classmethod
    def prepare(
        cls,
        settings: Settings,
        kind: MapsKind | None = None,
    ) -> Cohort:
        """Check options, dataset and model before anything is written.

        `kind` is the kind of a model to be trained, which decides on the form of the connectome and
        on cutting runs into segments; None: both are those of ``--model``.
        """
        place, others = statmaps_place(settings.inputs.derivatives)
        if place is None:
            raise SettingsError(
                f"--analysis {settings.modelling.analysis} needs measured maps",
                expected="--derivatives statmaps=PATH",
            )
        template, sets = None, tuple[int, ...]()
        if (
            kind
            and names_parcels(settings.inputs.space or "")
            and not names_model(settings)
        ):
            template = partial(parcel_template, kind)
        request = Request.prepare(settings.replace(derivatives=others), template)
        card = request.bundle.card
        if template is not None:
            sets = card.part.connectome.sets or (len(request.bundle.roi_maps),)
            words = f"{card.description}, with {maps_in_words(sets)}"
        else:
            words = f"masks and ROI maps are those of {card.name} {card.version}"
            if kind is not None:
                request = request.trained(
                    _form_of(kind, card.part.connectome.sets),
                    kind.segment_seconds(card.part.segment_seconds),
                )
        evaluates = settings.modelling.analysis == "evaluate"
        results = ResultFolder.of_model(
            settings,
            request.output,
            "evaluation" if evaluates else MODEL,
            request.bundle if evaluates else None,
            _CAN_WRITE,
            request.path_names.plus({"statmaps": place}),
        )
        return cls(settings, request, place, results, words, sets)

    @property
    def name(self) -> str:
        """Name of the model that is made, or of the evaluation."""
        return self.results.name.partition("-")[2]

    @property
    def bundle(self) -> ModelBundle:
        """The model that is read, or the template of the one that is trained."""
        return self.request.bundle

    @property
    def form(self) -> Form:
        """The form of people's connectomes."""
        return self.bundle.card.part.connectome

    @cached_property
    def model(self) -> Model:
        """The model that is read, prepared when first used."""
        request = self.request
        return Model(request.bundle, request.device, request.threads)

    @property
    def store(self) -> ArrayStore:
        """Folder of the arrays of this analysis only."""
        return ArrayStore(self.results.path / ARRAYS)

    @property
    def cache(self) -> ArrayStore:
        """Folder of people's arrays, which all analyses of an output share."""
        return ArrayStore(self.request.output.path("group") / "cache")

    @property
    def is_dry(self) -> bool:
        """Whether this is a dry run."""
        return self.settings.behaviour.dry_run

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the people who have both scans; after reading, only the people who are used."""
        return tuple(self.maps)

    @property
    def rows(self) -> dict[str, int]:
        """Row of each contrast, by its `plain_contrast`."""
        return {
            plain_contrast(contrast.label): contrast.index
            for contrast in self.contrasts
        }

    @property
    def sessions(self) -> str:
        """A sentence on targets and retests; empty without sessions."""
        return describe_sessions(self.maps.values())

    @property
    def files(self) -> str:
        """A sentence on the files of the targets."""
        return describe_files(tuple(self.maps.values()), self.statistic)

    def of(self, labels: Sequence[str]) -> tuple[Person, ...]:
        """Return some people, in the order of the labels; skip those who cannot be used."""
        known = {person.label: person for person in self.people}
        return tuple(known[label] for label in labels if label in known)

    def among(self, labels: Collection[str]) -> Cohort:
        """Return the cohort with some of its people."""
        maps = {label: own for label, own in self.maps.items() if label in labels}
        people = tuple(person for person in self.people if person.label in labels)
        return dataclasses.replace(self, maps=maps, people=people)

    def without(self, left_out: Mapping[str, str]) -> Cohort:
        """Return the cohort without the people in `left_out` (label -> reason)."""
        kept = self.among([label for label in self.labels if label not in left_out])
        return dataclasses.replace(kept, left_out={**self.left_out, **left_out})

    @cached_property
    def table_families(self) -> Families:
        """Families from the first table that has them."""
        dataset = self.request.dataset
        roots = (dataset.bids_dir, dataset.root, self.place)
        return read_families(roots, labels=self.request.participants)

    @cached_property
    def families(self) -> Families:
        """Families; after reading, labels with the same rest count as one family too."""
        return with_copies(self.table_families, self.sketches)

    def found(
        self, contrasts: Sequence[Contrast] | None, *, everything: bool = False
    ) -> Cohort:
        """Find who has both scans, from file names only.

        Parameters
        ----------
        contrasts
            Contrasts to look for; None: all that the maps have.
        everything
            Whether to ignore `--contrast`.
        """
        request, bundle = self.request, self.bundle
        measured, predicted = find_statmaps(self.place)
        ways, lacks = _ways(request, measured)
        try:
            files, of_space = in_space(measured, bundle.space, ways)
        except DatasetError as err:
            remedy = next((lack.remedy for lack in lacks if lack.remedy), None)
            raise DatasetError(err.found, expected=err.expected, remedy=remedy) from err
        known = (*hcp_contrasts(), *bundle.contrasts)
        tasks = {plain_contrast(row.label): plain_contrast(row.task) for row in known}
        files, of_tasks = name_targets(files, tasks)
        asked = () if everything else self.settings.modelling.contrast
        rows = contrast_rows(
            [file.contrast for file in files], contrasts, bundle.contrasts, asked
        )
        wanted = {plain_contrast(row.label) for row in rows}
        files = tuple(file for file in files if plain_contrast(file.contrast) in wanted)
        with_maps = sorted({file.participant for file in files})
        own = [file for file in files if file.participant in request.participants]
        preferred = [
            plain_label(label, "ses") for label in self.settings.inputs.session_label
        ]
        maps = people_maps(own, preferred)
        if not maps:
            raise DatasetError(
                f"no participant of {request.dataset.root} has maps in {self.place}",
                expected=f"the same labels in both; there are maps of {', '.join(with_maps[:5])}",
            )
        statistic, of_runs = choose_statistic(maps)
        for who, them in maps.items():
            retest = {
                key: own for key, own in them.retest.items() if statistic in own.files
            }
            maps[who] = dataclasses.replace(them, retest=retest)
        left_out = {
            who: "no measured maps" for who in request.participants if who not in maps
        }
        if (
            not request.settings.inputs.participant_label
        ):  # else others were not asked for
            left_out |= {
                who: "no rest" for who in with_maps if who not in request.participants
            }
        ours = predicted and (
            f"{counted(predicted, 'file')} among the measured maps were predicted by "
            "bids_dtg and will not be used"
        )
        names = own_names(rows) if contrasts is None else ""
        notes = tuple(
            note for note in (of_tasks, of_space, of_runs, ours, names) if note
        )
        return dataclasses.replace(
            self,
            maps=maps,
            contrasts=rows,
            statistic=statistic,
            left_out=left_out,
            notes=notes,
            ways=ways,
        )

    def find(
        self, contrasts: Sequence[Contrast] | None, *, everything: bool = False
    ) -> Cohort:
        """Find who has both scans, as `found` does, and report it."""
        cohort = self.found(contrasts, everything=everything)
        for why in sorted(set(cohort.left_out.values())):
            who = [label for label, reason in cohort.left_out.items() if reason == why]
            say(
                f"left out: {counted(len(who), 'participant')} with {why} ({named(who)})"
            )
        for line in (cohort.sessions, cohort.files, *cohort.notes):
            if line:
                say(line)
        predicted = self.bundle.card.part.statistic
        if contrasts is not None and cohort.statistic != predicted:
            say(
                f"the model predicts {predicted} maps, and the measured ones are "
                f"{cohort.statistic} maps: their scales and intervals cannot be compared"
            )
        if not self.is_dry:
            return cohort
        no_rest = {label: self._why_no_rest(label) for label in cohort.labels}
        failures = {label: reason for label, reason in no_rest.items() if reason}
        for label, reason in failures.items():
            say(f"sub-{label} would be left out: {reason}")
        return cohort.among([label for label in cohort.labels if label not in failures])

    def _why_no_rest(self, label: str) -> str | None:
        """Return why a person's runs cannot be used, judged by their headers and tables."""
        usable, short = False, ""
        try:
            for run in self.request.runs(label):
                try:
                    plan_run(run, self.bundle.space, self.request.settings.cleaning)
                    usable = True
                except TooShortError as err:
                    short = str(err)
        except DtgError as err:
            return str(err)
        return None if usable else short

    def of_data(self) -> Cohort:
        """Return the cohort with a result folder that records these people's files.

        Raises
        ------
        SettingsError
            The folder holds a model that was made from other data.
        """
        files: list[Path] = []
        for label, maps in self.maps.items():
            with suppress(DtgError):  # a later step says why these runs cannot be used
                for run in self.request.runs(label):
                    files += run.inputs
            for statmap in (*maps.target.values(), *maps.retest.values()):
                files += statmap.files.values()
        base = None if self.learns else self.bundle
        results = self.results.of_data(files, self.request.dataset.root, base)
        return dataclasses.replace(self, results=results)

    def planned(self, label: str, side: str) -> Mapping[str, StatMap]:
        """Return a person's maps by contrast: the targets, or the retests if they count."""
        own = self.maps[label]
        if side == SIDES[0]:
            return own.target
        return own.retest if own.target.keys() == own.retest.keys() else {}

    def sides(self, label: str) -> tuple[str, ...]:
        """Return which maps a person has: the target first."""
        return tuple(side for side in SIDES if self.planned(label, side))

    def print_plan(self, sets: Mapping[str, Sequence[str]]) -> int:
        """Print what the run would do; return 0, the number of failures."""
        labels, dataset = [row.label for row in self.contrasts], self.request.dataset
        how = find_strategy(self.request.settings.cleaning.denoise_strategy).in_words
        show(
            f"{dataset.root} is read as {dataset.title}, {how}; measured maps in {self.place}"
        )
        show(
            f"{counted(len(labels), 'contrast')} ({self.statistic}): {', '.join(labels)}"
        )
        for use, people in sets.items():
            if people:
                show(
                    f"to {use}: {counted(len(people), 'participant')} ({named(people)})"
                )
        own = self.results.name.startswith("model-")
        what = f"the model {self.name}" if own else f"scores of {self.bundle.card.name}"
        show(
            f"would write {what} to {self.results.path}, and arrays of people to {self.cache.root}"
        )
        show("no image was read, and no output was written")
        return 0


def names_model(settings: Settings) -> bool:
    """Return whether ``--model`` is another than the default."""
    return bool(settings.inputs.model != OPTIONS["model"].default)


def _form_of(kind: MapsKind, sets: Sequence[int]) -> Form:
    """Return the form of connectome that a kind is trained on, given the sets of ROI maps.

    Raises
    ------
    SettingsError
        There are several sets, and the kind reads only one.
    """
    if sets and not kind.sets:
        able = " or ".join(row.name for row in KINDS.values() if row.sets)
        raise SettingsError(
            f"a --model with {maps_in_words(sets)} was given for a model of kind {kind.name}",
            expected=f"--architecture {able}, or a model with one set",
        )
    return Form(kind.connectome, tuple(sets))


def _ways(
    request: Request, files: Sequence[StatMap]
) -> tuple[dict[str, Path], list[RunError]]:
    """Return transforms to the templates of the maps, and errors for those without one."""
    ways: dict[str, Path] = {}
    lacks: list[RunError] = []
    model = request.bundle.space
    spaces = {file.space for file in files if file.space not in (None, model, PARCELS)}
    if model == PARCELS:
        return ways, lacks
    for space in sorted(filter(None, spaces)):
        try:
            ways[space] = request.templateflow.transform(model, space)
        except RunError as err:
            lacks.append(err)
    return ways, lacks


def contrast_rows(
    found: Sequence[str],
    contrasts: Sequence[Contrast] | None,
    own: Sequence[Contrast],
    labels: Sequence[str],
) -> tuple[Contrast, ...]:
    """Return the contrasts to work on, numbered anew.

    Parameters
    ----------
    found
        Labels of the measured maps.
    contrasts
        Contrasts to choose from; None: all.
    own
        The model's contrasts, whose descriptions are kept.
    labels
        Labels or tasks of ``--contrast``; empty: all.

    Raises
    ------
    DatasetError, SettingsError
        No contrast is left, or one that was asked for is not there.
    """
    present = {plain_contrast(label): label for label in found}
    known = {plain_contrast(row.label): row for row in (*hcp_contrasts(), *own)}
    tasks = {
        label: known[key].task if key in known else "" for key, label in present.items()
    }
    asked = {plain_contrast(label) for label in chosen_contrasts(labels, tasks)} or set(
        present
    )
    order = [*known, *sorted(set(present) - set(known))]
    if contrasts is not None:
        order = [plain_contrast(row.label) for row in contrasts]
    keys = [key for key in order if key in present and key in asked]
    if not keys:
        some = [row.label for row in contrasts or known.values()][:4]
        raise DatasetError(
            "no measured map has a contrast of the model",
            expected=f"labels such as {', '.join(some)}; found "
            f"{', '.join(sorted(present.values())[:6])}",
        )
    made = []
    for number, key in enumerate(keys):
        label = "".join(
            letter for letter in present[key] if letter.isascii() and letter.isalnum()
        )
        given = known.get(key) or Contrast(
            number, label, "", present[key], present[key]
        )
        made.append(dataclasses.replace(given, index=number))
    return tuple(made)


def own_names(contrasts: Sequence[Contrast]) -> str:
    """Name the contrasts that are not among HCP's, in a sentence; empty if there are none.

    Examples
    --------
    >>> own_names(contrast_rows(["WM 0bk:faces", "SOCIAL:rnd"], None, (), ()))
    "not among HCP's contrasts, so kept under its own name: 1 of 2 contrasts (SOCIALrnd)"
    """
    known = {plain_contrast(contrast.label) for contrast in hcp_contrasts()}
    own = [row.label for row in contrasts if plain_contrast(row.label) not in known]
    if not own:
        return ""
    under = "its own name" if len(own) == 1 else "their own names"
    number = f"{len(own)} of {counted(len(contrasts), 'contrast')}"
    return (
        f"not among HCP's contrasts, so kept under {under}: {number} ({', '.join(own)})"
    )
