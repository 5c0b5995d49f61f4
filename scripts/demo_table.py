"""Score the demo model and simple models on unseen people; add prediction intervals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from demo_people import (
    OneByOne,
    SegmentModel,
    StoredPeople,
    predict_people,
    simulate_answers,
    simulate_people,
)
from numpy.typing import NDArray
from rich.progress import track

from bids_dtg.bundles.training_hashes import TrainingHashes, hash_person
from bids_dtg.contrasts.bundle.bundle import BundleArrays, load_bundle, write_bundle
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.half_width import LeftOutErrors
from bids_dtg.contrasts.judging.scores import (
    GROUP_AVERAGE,
    LINEAR,
    RETEST,
    Scores,
    ceilings,
    join,
    score_maps,
    with_derived,
)
from bids_dtg.contrasts.judging.tables import (
    MODEL_COLUMNS,
    comparison_rows,
    records,
    summary_row,
)
from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.network.prepared import prepare
from bids_dtg.contrasts.network.unet import AttentionUNet
from bids_dtg.contrasts.people import Person
from bids_dtg.contrasts.phantom.dataset import CONTENTS, dataset_name, participant_label
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.recentring import Correction, recentre
from bids_dtg.phantom.streams import Cohort

Array = NDArray[np.float32]

SEGMENTS = 4  # resting-state segments of each held-out person, half an hour in all
JUDGED = "network, re-centred"


@dataclass(frozen=True, eq=False)
class Table:
    """The model's scores, and the correction of its predictions."""

    correction: Correction  # fitted to the validation people
    training_people: int  # number of training people
    validation_people: int  # number of validation people
    evaluation: Mapping[str, Any]  # for the model card


def make_table(
    work: Path,
    phantom: Phantom,
    training: StoredPeople,
    network: AttentionUNet,
    people: int,
) -> Table:
    """Re-centre the network on validation people and score everything on test people."""
    phantom_people = {
        cohort: simulate_people(
            work / f"held_out_{cohort.name.lower()}", phantom, cohort, people, SEGMENTS
        )
        for cohort in (Cohort.VALIDATION, Cohort.TEST)
    }
    validation, test = phantom_people.values()
    answers = simulate_answers(work / "answers", phantom, Cohort.TEST, people)
    prepared = prepare(Parameters.of(network), phantom.anatomy.grey)
    folder = work / "predicted"
    predicted = predict_people(folder / "test", test, prepared.predict)
    everybody = len(training.maps)
    trained = OneByOne(training.measured, everybody)
    linear = SegmentModel.fit(training, trained, phantom.roi_maps)
    total = np.zeros(trained[0].shape)
    for n in range(everybody):
        total += trained[n]
    mean_map = (total / everybody).astype(np.float32)
    of_validation = predict_people(folder / "validation", validation, prepared.predict)
    pairs = ((maps, validation.measured(n)) for n, maps in enumerate(of_validation))
    correction, _ = recentre(pairs, mean_map)

    def recentred(n: int) -> Array:
        return correction.apply(predicted[n].astype(np.float32))

    models: dict[str, Callable[[int], Array]] = {
        GROUP_AVERAGE: lambda n: mean_map,
        LINEAR: lambda n: linear.predict(test, n),
        "network": lambda n: predicted[n],
        JUDGED: recentred,
        RETEST: lambda n: answers.retest[n],
        "ceiling: what rest could tell": lambda n: answers.knowable[n],
        "ceiling: the true maps": lambda n: answers.true[n],
    }
    measured = np.stack([test.measured(n).astype(np.float16) for n in range(people)])
    all_scores: list[Scores] = []
    for name, predict in track(models.items(), "Scoring"):
        maps = np.stack([predict(n).astype(np.float16) for n in range(people)])
        scores_of_model = score_maps(name, maps, measured, mean_map)
        if name == JUDGED:
            scores_of_model = with_derived(scores_of_model)
        all_scores.append(scores_of_model)
    scores, rows = join(all_scores), []
    for name in scores.models:
        rows.append(summary_row(scores, name))
        print(json.dumps(rows[-1]), flush=True)
    nothing = np.zeros((1, 1, 1), np.float16)
    twice = [
        Person(f"{n}", nothing, (1.0,), (test.measured(n), answers.retest[n]))
        for n in range(people)
    ]
    labels = [contrast.label for contrast in hcp_contrasts()]
    evaluation = {
        "participants": people,
        "segments": SEGMENTS,
        "conventions": "; ".join(
            f"{column.title}: {column.meaning}" for column in MODEL_COLUMNS
        ),
        "phantom": {
            "seed": phantom.seed,
            "voxel_mm": 2 * phantom.block,
        },
        "rows": rows,
        "comparisons": comparison_rows(scores, JUDGED),
        "ceilings": records(ceilings(twice, labels)),
    }
    return Table(correction, everybody, people, evaluation)


def add_intervals(work: Path, folder: Path, people: int) -> None:
    """Write the bundle in `folder` again, with 90 % prediction intervals.

    Their half-widths come from calibration people, who were not used to train or tune the model.
    The card gets the coverage in test people, the share of newly measured voxels within the
    intervals.
    """
    bundle = load_bundle(folder)
    correction = bundle.correction
    assert correction is not None
    phantom = Phantom(block=round(bundle.grid.voxel_sizes_mm[0] / 2))
    predict = prepare(Parameters.of(bundle.network()), phantom.anatomy.grey).predict

    def errors_of(cohort: Cohort) -> OneByOne:
        name = cohort.name.lower()
        stored = simulate_people(
            work / f"held_out_{name}", phantom, cohort, people, SEGMENTS
        )
        predicted = predict_people(work / "predicted" / name, stored, predict)
        return OneByOne(
            lambda n: (
                stored.measured(n) - correction.apply(predicted[n].astype(np.float32))
            ),
            people,
        )

    lattice = bundle.places.lattice(bundle.places.block_edge)
    sums = LeftOutErrors(len(bundle.contrasts), lattice)
    for error in errors_of(Cohort.CALIBRATION):
        sums.add(np.zeros(error.shape, np.float32), error)
    half_widths = sums.half_widths(segments=SEGMENTS)
    widths = half_widths.at_places
    held = [np.abs(error) <= widths for error in errors_of(Cohort.TEST)]
    intervals = {
        "what": "share of the voxels of a newly measured map (one session) of a person of the same "
        "population within the interval; mean over participants and contrasts",
        "participants": people,
        "coverage_90": round(float(np.mean(held)), 4),
        "mean_half_width_90": round(float(widths.mean()), 3),
    }
    evaluation = {**(bundle.card.evaluation or {}), "intervals": intervals}
    seen = phantom_people(phantom, {Cohort.CALIBRATION: people})
    new = folder.with_name(folder.name + "_new")
    arrays = BundleArrays(
        bundle.weights().read(),
        *(bundle.roi_maps, bundle.brain, bundle.places, correction),
        half_widths=half_widths,
    )
    card = replace(bundle.card, evaluation=evaluation)
    write_bundle(new, card, arrays, (bundle.people or TrainingHashes({})).joined(seen))
    shutil.rmtree(folder)
    new.rename(folder)


def phantom_people(phantom: Phantom, counts: Mapping[Cohort, int]) -> TrainingHashes:
    """Return the first people of cohorts, with the names that `dtg-phantom` would give them."""
    sets = {}
    for cohort, count in counts.items():
        name = dataset_name(phantom, cohort, CONTENTS["fmriprep"])
        sets[cohort.name.lower()] = tuple(
            (hash_person(name, participant_label(index)),) for index in range(count)
        )
    return TrainingHashes(sets)
