"""Fitting models to people: local ridge, the network, and both as a blend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.bundles.card import ATTENTION_UNET, BLEND, LOCAL_RIDGE
from bids_dtg.bundles.kinds import blend_tensors, ridge_tensors
from bids_dtg.bundles.sums import SumsFacts, is_beginning, read_sums, write_sums
from bids_dtg.contrasts.blend import Blend, BlendSums, MapModel
from bids_dtg.contrasts.local_ridge import LocalRidge, LocalRidgeSums
from bids_dtg.contrasts.maps import MapAverage
from bids_dtg.contrasts.recentring import Correction, RecentringSums
from bids_dtg.errors import BundleError, DatasetError
from bids_dtg.settings import Settings
from bids_dtg.workflows.modelling.fit_network import fit_network
from bids_dtg.workflows.modelling.person_arrays import Person

Array = NDArray[np.float32]
Tell = Callable[[str], None]

PENALTIES = (0.3, 1.0, 3.0, 10.0)  # of local ridge, chosen on the validation people
CELL_MM, POOLING_MM = 6.0, 10.0
_SAVE_EVERY = 50  # people whose sums are lost at most when a call is killed


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A model, what a bundle needs of it, and what was done to it."""

    kind: str  # of bundle
    tensors: Mapping[str, NDArray[Any]]  # of its weights
    model: MapModel  # before the correction
    correction: Correction | None  # found on the validation people; None: none
    record: Mapping[str, Any]  # how it came about, for the card

    def predict(self, person: Person) -> Array:
        """Predict a person's maps: the mean over segments, corrected."""
        maps = predicted_maps(self.model, person)
        return maps if self.correction is None else self.correction.apply(maps)


def predicted_maps(model: MapModel, person: Person) -> Array:
    """Predict a person's maps as the participant level does: the mean over segments."""
    average = MapAverage()
    for segment, seconds in zip(person.connectomes, person.seconds, strict=True):
        average.add(model.predict(segment.astype(np.float32)), seconds)
    return average.mean


def mean_maps(people: Sequence[Person]) -> Array:
    """Return the mean measured maps, (contrasts, voxels); 0 where nobody was measured."""
    total = np.zeros(people[0].maps.shape)
    count = np.zeros(total.shape, np.int32)
    for person in people:
        known = np.isfinite(person.maps)
        total += np.where(known, person.maps, 0.0)
        count += known
    mean: Array = (total / np.maximum(count, 1)).astype(np.float32)
    return mean


def filled(person: Person, mean: Array) -> Array:
    """Return a person's maps with the mean where nothing was measured: it counts as average."""
    maps: Array = np.where(np.isfinite(person.maps), person.maps, mean)
    return maps


def fit_model(
    settings: Settings,
    bundle: ModelBundle,
    training: Sequence[Person],
    validation: Sequence[Person],
    contrasts: Sequence[str],
    folder: Path,
    tell: Tell,
) -> FittedModel:
    """Fit what `--architecture` and `--recipe` ask for, going on where a call was stopped.

    Parameters
    ----------
    settings
        Options of modelling.
    bundle
        Whose grid and masks the arrays are on.
    training, validation
        People; no one is in both.
    contrasts
        Labels of the maps' rows.
    folder
        Of sums and checkpoints.
    tell
        Told a line now and then.
    """
    kind = settings.modelling.architecture
    require_people(settings, kind, training, validation)
    mean = mean_maps(training)
    record: dict[str, Any] = {"recipe": settings.modelling.recipe, "seed": settings.modelling.seed}
    ridge, network = None, None
    state: Mapping[str, NDArray[Any]] = {}
    if kind in (LOCAL_RIDGE, BLEND):
        ridge, told = fit_ridge(
            settings, bundle, training, validation, mean, contrasts, folder, tell
        )
        record["local_ridge"] = told
    if kind in (ATTENTION_UNET, BLEND):
        state, network, told = fit_network(
            settings, bundle, training, validation, folder / "network", tell
        )
        record["network"] = told
    if ridge is not None and network is not None:
        weights = _blend_weights(ridge, network, validation, mean)
        record["blend"] = {"local_ridge": weights[0].tolist(), "network": weights[1].tolist()}
        model: MapModel = Blend((ridge, network), weights)
        tensors = blend_tensors(ridge, state, weights)
    elif ridge is not None:
        model, tensors = ridge, ridge_tensors(ridge)
    else:
        assert network is not None
        model, tensors = network, dict(state)
    correction = None
    if settings.modelling.recipe == "default":
        correction = recentred(model, validation, mean)
    return FittedModel(kind, tensors, model, correction, record)


def require_people(
    settings: Settings, kind: str, training: Sequence[object], validation: Sequence[object]
) -> None:
    """Refuse too few people before the work begins, not at its end, which may be days later.

    Raises
    ------
    DatasetError
        Re-centring, blending and the CR-R loss compare people: they need two.
    """
    if len(validation) < 2 and (settings.modelling.recipe == "default" or kind != LOCAL_RIDGE):
        raise DatasetError(
            f"{len(validation)} validation participants are too few to choose and re-centre by",
            expected="2 or more",
            remedy="give --held-out larger shares, or a --split-file",
        )
    if (
        settings.modelling.recipe == "published"
        and min(len(training), settings.modelling.batch_size) < 2
    ):
        raise DatasetError(
            f"{len(training)} training participants in batches of {settings.modelling.batch_size} "
            "are too few for the CR-R loss, which compares people",
            expected="2 or more",
        )


def recentred(model: MapModel, validation: Sequence[Person], mean: Array) -> Correction:
    """Find offset and gains on people whom the model was not fitted on, two or more."""
    sums = RecentringSums()
    for person in validation:
        sums.add(predicted_maps(model, person), filled(person, mean))
    return sums.correction(mean)


def fit_ridge(
    settings: Settings,
    bundle: ModelBundle,
    training: Sequence[Person],
    validation: Sequence[Person],
    mean: Array,
    contrasts: Sequence[str],
    folder: Path,
    tell: Tell,
) -> tuple[LocalRidge, dict[str, Any]]:
    """Add up training people, those of other sites too, and solve with the best penalty."""
    voxel_mm = float(np.mean(bundle.grid.voxel_sizes_mm))
    block = _block(bundle)
    path = folder / "local-ridge_sums.safetensors"
    facts = SumsFacts.of(bundle, contrasts, block)
    # Their data too: sums of other maps or other cleaning are not gone on with.
    names = tuple(f"{person.label} {person.fingerprint(mean)}" for person in training)
    sums = LocalRidgeSums(bundle.mask, voxel_mm, block)
    with suppress(BundleError):  # damaged, or of other contrasts: begun anew, as it is our own
        if path.exists():
            earlier, whose = read_sums(path, facts, bundle.mask, voxel_mm)
            # Sums cannot be taken apart: those of other people are begun anew.
            if is_beginning(whose, names):
                sums = earlier
    for number in range(sums.people, len(names)):
        person = training[number]
        sums.fit_person(person.mean_connectome(), filled(person, mean))
        if (number + 1) % _SAVE_EVERY == 0 or number + 1 == len(names):
            write_sums(path, sums, facts, names[: number + 1])
            tell(f"local ridge: {number + 1}/{len(names)} people added up")
    people = sums.people  # of this site
    for other in other_sums(settings, bundle, contrasts):
        sums = sums + other
    if sums.people < 2:
        raise DatasetError(
            f"{sums.people} training participant is too few to solve local ridge for",
            expected="2 or more",
            remedy=f"the sums are kept in {path}: another site can --add-sums them",
        )
    solved = sums.solve_each(PENALTIES, POOLING_MM)
    errors = {
        penalty: float(
            np.mean(
                [
                    np.square(model.predict(p.mean_connectome()) - filled(p, mean)).mean()
                    for p in validation
                ]
            )
        )
        for penalty, model in solved.items()
        if validation
    }
    best = min(errors, key=lambda penalty: errors[penalty]) if errors else 1.0
    record = {
        "penalty": best,
        "validation_errors": {str(key): round(value, 6) for key, value in errors.items()},
        "pooling_mm": POOLING_MM,
        "cell_mm": block * voxel_mm,
        "participants": people,
        "participants_of_other_sites": sums.people - people,
    }
    return solved[best], record


def other_sums(
    settings: Settings, bundle: ModelBundle, contrasts: Sequence[str]
) -> Iterator[LocalRidgeSums]:
    """Read other sites' sums of local ridge, one after the other.

    Raises
    ------
    DtgError
        A file cannot be read, or is of another model or other contrasts.
    """
    facts = SumsFacts.of(bundle, contrasts, _block(bundle))
    voxel_mm = float(np.mean(bundle.grid.voxel_sizes_mm))
    for path in settings.modelling.add_sums:
        yield read_sums(Path(path), facts, bundle.mask, voxel_mm)[0]


def _block(bundle: ModelBundle) -> int:
    """Return the voxels along the edge of a cell of local ridge."""
    return max(1, round(CELL_MM / float(np.mean(bundle.grid.voxel_sizes_mm))))


def _blend_weights(
    ridge: MapModel, network: MapModel, validation: Sequence[Person], mean: Array
) -> Array:
    sums = BlendSums()
    for person in validation:
        both = [predicted_maps(model, person) for model in (ridge, network)]
        sums.add(both, filled(person, mean))
    return sums.weights()
