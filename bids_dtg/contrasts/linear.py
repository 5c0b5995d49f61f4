"""The linear model: a person's maps from deviations of the person's connectome.

Each set of ROI maps has its own connectome. Its rows are standardised over voxels (or parcels), and
their deviations from the training people's mean are weighted, value by value, by the standard
deviation between these people. A set predicts deviations of the maps with two kinds of
coefficients: averages over people of least-squares fits, times a gain; and, for what these leave,
shrunken coefficients fitted to the deviations of all people together. Predictions are averaged over
sets. ``docs/explanation/linear.md`` has the formulas.

The kind `linear` needs no validation people, because gains are estimated with each training person
left out in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_dtg.array_types import Float64, Floats, Indices, Mask, Values
from bids_dtg.bundles.card import finite_or_none
from bids_dtg.connectome.form import rows_of
from bids_dtg.contrasts.asymmetry import Homologues
from bids_dtg.contrasts.half_width import HalfWidths, LeftOutErrors
from bids_dtg.contrasts.people import (
    FitData,
    FittedModel,
    MeanMaps,
    Person,
    mean_segments,
)
from bids_dtg.contrasts.recentring import MOST_GAIN, Correction
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.files.tensors import TensorFile, let_go
from bids_dtg.imaging.places import Lattice, Places, single_lattice
from bids_dtg.notices import counted
from bids_dtg.settings import Settings
from bids_dtg.stats.linear import fit_maps, rows_alike, standardised

# The smallest strength of shrinkage, and the total minutes of rest from which it applies.
LEAST_STRENGTH, ENOUGH_MINUTES = 4.0, 143.4
# Lower limit of the factor for a person's deviations if they vary more than in training.
LEAST_SCALE = 0.1
_PREFIX = "linear."  # of tensor names in a bundle
_ARRAYS = ("means", "weights", "coefficients", "variances")
_MAPPED = _ARRAYS[:2]  # large tensors, which stay in the file
_ROUNDING = 1e-9  # share of the mean below which differences are rounding error
_PLACES = 4096  # voxels predicted at a time
_PARTS = 8  # number of such parts after which memory of mapped arrays is released


def shrinkage(minutes: float) -> float:
    """Return the strength of shrinkage, given the minutes of rest of all people together.

    Examples
    --------
    >>> shrinkage(200.0), round(shrinkage(71.7), 1), shrinkage(float("nan"))
    (4.0, 8.0, 4.0)
    """
    return LEAST_STRENGTH * max(1.0, ENOUGH_MINUTES / minutes if minutes > 0 else 1.0)


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear model that predicts deviations of maps from connectomes.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones((1, 3), np.float32)
    >>> model = LinearModel((1,), 0 * one, one, 2 * one[:, :1])
    >>> model.predict(np.array([[0.0, 0.5, 1.0]], np.float32)).round(2)
    array([[-2.45,  0.  ,  2.45]], dtype=float32)
    """

    sets: tuple[int, ...]  # numbers of ROIs
    means: Floats  # (rois, places), means over people of standardised connectomes
    weights: Floats  # (rois, places), of deviations; the mean is 1 in each set
    coefficients: Floats  # (contrasts, rois)
    # (sets,), variance of the training people's weighted deviations. If a person's vary more, for
    # example after a short scan, predictions are multiplied by the ratio. None: they are not.
    variances: Floats | None = None

    def __post_init__(self) -> None:
        rois, _ = self.means.shape
        shapes: dict[str, tuple[int, ...]] = {
            "weights": self.means.shape,
            "coefficients": (len(self.coefficients), rois),
        }
        if self.variances is not None:
            shapes["variances"] = (len(self.sets),)
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise ValueError(f"{name} are {shape}, found {array.shape}")
        if sum(self.sets) != rois or min(self.sets, default=0) < 1:
            raise ValueError(f"sets of {self.sets} ROIs do not add up to {rois}")

    def predict(self, connectome: Floats) -> Floats:
        """Turn a connectome (rois, places) into deviations of maps (contrasts, places)."""
        # One thread is fastest, with many small products next to a reading process.
        with one_blas_thread():
            return self._predict(connectome)

    def _predict(self, connectome: Floats) -> Floats:
        shape = len(self.coefficients), connectome.shape[1]
        maps = np.zeros(shape, self.means.dtype)
        set_maps = maps if len(self.sets) == 1 else np.empty(shape, self.means.dtype)
        for number, rows in enumerate(rows_of(self.sets)):
            squares = self._predict_set(rows, connectome[rows], set_maps)
            if self.variances is not None:
                variance = squares / (self.sets[number] * connectome.shape[1])
                ratio = self.variances[number] / variance if variance > 0 else 1.0
                set_maps *= set_maps.dtype.type(np.clip(ratio, LEAST_SCALE, 1.0))
            if set_maps is not maps:
                maps += set_maps
        return maps

    def _predict_set(self, rows: slice, connectome: Floats, out: Floats) -> float:
        """Write a set's maps into `out`; return the sum of squared weighted deviations."""
        squares = 0.0
        parts = _standardised_parts(connectome)
        for part, (places, deviation) in enumerate(parts):
            if part % _PARTS == 0:
                self._let_go(rows)
            deviation -= self.means[rows, places]
            deviation *= self.weights[rows, places]
            squares += float(np.einsum("rv,rv->", deviation, deviation))
            out[:, places] = self.coefficients[:, rows] @ deviation
        self._let_go(rows)
        return squares

    def _let_go(self, rows: slice) -> None:
        """Release the memory of mapped arrays."""
        for array in (self.means, self.weights):
            let_go(array[rows])


def tensors_of(model: LinearModel) -> dict[str, Values]:
    """Return the model's tensors, as a bundle stores them."""
    tensors: dict[str, Values] = {}
    for name in _ARRAYS:
        array = getattr(model, name)
        if array is not None:
            tensors[_PREFIX + name] = array.astype(np.float32)
    tensors[_PREFIX + "sets"] = np.array(model.sets, np.int32)
    return tensors


def read(weights: TensorFile, places: Places, *_processor: object) -> LinearModel:
    """Read the model for the voxels or parcels that it was fitted over; it computes on the CPU.

    Raises
    ------
    BundleError
        Tensors are missing or damaged, or do not match each other or the mask.
    """
    tensors = weights.below(_PREFIX).read(mapped=_MAPPED)
    for name in ("sets", *_ARRAYS[:-1]):
        if name not in tensors:
            raise weights.error(f" has no tensor {_PREFIX}{name}")
    arrays = {
        name: tensors[name].astype(np.float32, copy=False)
        for name in _ARRAYS
        if name in tensors
    }
    try:
        model = LinearModel(tuple(map(int, tensors["sets"])), **arrays)
        if model.means.shape[1] != places.number:
            raise ValueError(
                f"means need {places.number} columns, found {model.means.shape}"
            )
    except (TypeError, ValueError) as err:
        raise weights.error(f" does not fit the mask: {err}") from err
    return model


prepare = read  # nothing else is needed


def channels(weights: TensorFile) -> tuple[int, int]:
    """Return how many ROIs the model reads and how many maps it predicts."""
    contrasts, rois = weights.below(_PREFIX).shape("coefficients", axes=2)
    return rois, contrasts


def fit(
    data: FitData, settings: Settings, folder: Path, report: Callable[[str], None]
) -> FittedModel:
    """Fit the training people, and estimate gains with each left out in turn."""
    training, places = data.training, data.places
    sets = training[0].form.sets or (training[0].connectomes.shape[1],)
    # For many small products, several threads are slower than one.
    with one_blas_thread():
        lattice, homologues = places.lattice(places.block_edge), Homologues.of(places)
        fitted = fit_people(training, sets, lattice, homologues)
    report(
        f"linear model: fitted on {counted(training, 'participant')}, each left out in turn; "
        f"shrinkage {fitted.record['linear']['strength']:.3g}"
    )
    return fitted


def _words(sets: Collection[int], minutes: float, strength: float) -> str:
    """Describe the fit for the page, in a sentence.

    Examples
    --------
    >>> _words((15, 50), 90.0, 6.4)
    'The model is the mean over sets of 15 and 50 ROIs (90 minutes of rest, shrinkage 6.4).'
    """
    *first, last = map(str, sets)
    scope = f"of {last}"
    if first:
        scope = f"the mean over sets of {', '.join(first)} and {last}"
    return f"The model is {scope} ROIs ({minutes:.4g} minutes of rest, shrinkage {strength:.3g})."


def fit_people(
    people: Sequence[Person],
    sets: Sequence[int],
    lattice: Lattice | None = None,
    homologues: Homologues | None = None,
) -> FittedModel:
    """Fit the model to training people; gains are estimated with each person left out in turn.

    Parameters
    ----------
    people
        Two or more; each is read three times, and only sums over people are kept.
    sets
        Numbers of ROIs in the sets, in the order of the connectomes' rows.
    lattice
        Blocks of voxels whose errors are pooled for half-widths; None: each voxel on its own.
    homologues
        Pairs of parcels, for half-widths of left minus right; None: none.
    """
    maps = MeanMaps.of(people)
    minutes = float(sum(person.minutes for person in people))
    strength = shrinkage(minutes)
    fits = [_SetFit.of(people, rows, maps, strength) for rows in rows_of(sets)]
    contrasts, places = maps.mean.shape
    errors = LeftOutErrors(contrasts, lattice or single_lattice(places, edge=1))
    pairs = 0 if homologues is None else len(homologues.names) + 1
    asymmetry_errors = LeftOutErrors(contrasts, single_lattice(pairs, edge=1))
    products, squares = np.zeros((2, contrasts))
    for number, person in enumerate(people):
        measured, is_measured = maps.left_out(person)
        predicted = np.zeros(measured.shape)
        for set_fit in fits:
            predicted += set_fit.predict_left_out(number, person)
        predicted = np.where(is_measured, predicted / len(fits), 0.0)
        products += np.einsum("qv,qv->q", predicted, measured)
        squares += np.einsum("qv,qv->q", predicted, predicted)
        # The pairs of the index are those of the other people, too, as for a new person.
        others_mean = np.where(is_measured, person.maps - measured, maps.mean)
        deviations = predicted, np.where(is_measured, measured, np.nan)
        errors.add(*deviations)
        if homologues is not None:
            asymmetries = [homologues.values(part, others_mean) for part in deviations]
            asymmetry_errors.add(*asymmetries)
    gains = _gains(products, squares)

    def widths_of(sums: LeftOutErrors) -> HalfWidths:
        segments = mean_segments(people)
        return sums.half_widths(gains, segments=segments, left_out_in_turn=True)

    model = LinearModel(
        sets=tuple(sets),
        means=np.concatenate([set_fit.mean for set_fit in fits]),
        weights=np.concatenate([set_fit.weights for set_fit in fits]),
        coefficients=np.hstack([set_fit.coefficients for set_fit in fits]) / len(fits),
        variances=np.array([set_fit.variance for set_fit in fits]),
    )
    minutes = round(minutes, 2)
    strength = round(strength, 4)
    facts = {
        "sets": sets,
        "participants": len(people),
        "minutes": finite_or_none(minutes),
        "strength": strength,
    }
    return FittedModel(
        model=model,
        tensors=tensors_of(model),
        record={"linear": facts},
        correction=Correction(gains.astype(np.float32), maps.mean.astype(np.float32)),
        left_out_in_turn=True,
        half_widths=widths_of(errors),
        asymmetry_widths=widths_of(asymmetry_errors) if homologues else None,
        words=_words(sets, minutes, strength),
    )


@dataclass(frozen=True, eq=False)
class _SetFit:
    """One set's coefficients, fitted on all people and without each person."""

    rows: slice  # rows of the set
    mean: Float64  # (rois, places), mean over people of standardised rows
    weights: Float64  # (rois, places), of deviations
    variance: float  # of the weighted deviations
    coefficients: Float64  # (contrasts, rois), on weighted deviations
    # The same without each person, for maps as deviations from others.
    left_out: Sequence[Float64]

    @classmethod
    def of(
        cls, people: Sequence[Person], rows: slice, maps: MeanMaps, strength: float
    ) -> _SetFit:
        """Fit a set."""
        mean, weights = _mean_and_weights(people, rows)
        products = []  # of each person
        variance = 0.0
        for person in people:
            deviation, square = _deviation(person, rows, mean, weights)
            products.append(_Products.of(person, maps, mean, deviation))
            variance += square / len(people)
        coefficients, left_out = _coefficients(products, strength)
        return cls(rows, mean, weights, variance, coefficients, left_out)

    def predict_left_out(self, number: int, person: Person) -> Float64:
        """Predict a training person's deviations by the fit to the others, (contrasts, places)."""
        deviation, _ = _deviation(person, self.rows, self.mean, self.weights)
        return self.left_out[number] @ deviation


@dataclass(frozen=True, eq=False)
class _Products:
    """A person's own fit, and products of the deviation D (rois, places) over measured voxels."""

    slopes: Float64  # (contrasts, rois), of a least-squares fit to the person's maps
    fitted: Mask  # (contrasts,), whether there is one
    # (patterns, rois, rois), D Dᵀ over the voxels of each pattern of missing data
    patterns: Float64
    pattern_of: Indices  # (contrasts,), the pattern of each contrast
    cross: Float64  # (contrasts, rois), of D with the maps minus everybody's mean
    left_out_cross: Float64  # the same with the maps minus the mean of the others

    @classmethod
    def of(
        cls, person: Person, maps: MeanMaps, mean: Float64, deviation: Float64
    ) -> _Products:
        """Fit a person's maps on the mean plus the deviation, and compute the products."""
        fits, fitted = fit_maps(mean + deviation, person.maps)
        from_others, is_measured = maps.left_out(person)
        is_measured &= fitted[:, None]
        groups = rows_alike(is_measured)
        pattern_of = np.zeros(len(is_measured), np.intp)
        rois = len(deviation)
        patterns = np.empty((len(groups), rois, rois))
        for number, contrasts in enumerate(groups):
            pattern_of[contrasts] = number
            pattern = is_measured[contrasts[0]]
            inside = deviation if pattern.all() else deviation[:, pattern]
            patterns[number] = inside @ inside.T
        cross = np.where(is_measured, maps.deviation(person), 0.0) @ deviation.T
        left_out_cross = np.where(is_measured, from_others, 0.0) @ deviation.T
        return cls(fits[:, 1:], fitted, patterns, pattern_of, cross, left_out_cross)

    @property
    def gram(self) -> Float64:
        """D Dᵀ of each contrast, (contrasts, rois, rois)."""
        return self.patterns[self.pattern_of]


def _coefficients(
    people: Sequence[_Products], strength: float
) -> tuple[Float64, list[Float64]]:
    """Return a set's coefficients (contrasts, rois), and those without each person.

    The latter take a connectome's deviation from everybody's mean and predict a map's deviation
    from the mean of the others.
    """
    count = np.sum([person.fitted for person in people], axis=0)[:, None]
    total = np.sum([person.slopes for person in people], axis=0)
    # A person's deviation from the others' mean, divided by that from everybody's.
    ratio = len(people) / (len(people) - 1)
    slopes_without = []  # the mean slopes without each person
    for person in people:
        remaining = np.maximum(count - person.fitted[:, None], 1)
        slopes_without.append(ratio * (total - person.slopes) / remaining)
    products, squares = np.zeros((2, len(total)))
    for person, slopes in zip(people, slopes_without, strict=True):
        products += (slopes * person.left_out_cross).sum(axis=1)
        squares += (slopes * _times(person.gram, slopes)).sum(axis=1)
    gains = _gains(products, squares)[:, None]
    averaged = gains * (total / np.maximum(count, 1))
    # After Zheng et al. 2022: fit the residuals to the deviations of all people together.
    gram = np.sum([person.gram for person in people], axis=0)
    cross = np.sum([person.cross for person in people], axis=0)
    residual = cross - _times(gram, averaged)
    rois = gram.shape[-1]
    ridge = strength * np.trace(gram, axis1=1, axis2=2) / rois
    penalty = np.where(ridge > 0, ridge, 1.0)[:, None, None] * np.eye(rois)
    left_out = []
    for person, slopes in zip(people, slopes_without, strict=True):
        residual_without = residual - (person.cross - _times(person.gram, averaged))
        shrunken = _solved(gram - person.gram + penalty, residual_without)
        left_out.append(gains * slopes + shrunken)
    return averaged + _solved(gram + penalty, residual), left_out


def _times(grams: Float64, rows: Float64) -> Float64:
    return (grams @ rows[..., None])[..., 0]


def _solved(grams: Float64, rows: Float64) -> Float64:
    return np.asarray(np.linalg.solve(grams, rows[..., None])[..., 0])


def _gains(products: Float64, squares: Float64) -> Float64:
    """Return the gain of each contrast, (contrasts,); 0 if predictions do not differ.

    With few people, the slope of measured on predicted deviations is noisy. So the gain averages a
    contrast's own slope and the slope over all contrasts.
    """
    varies = squares > 0
    if not varies.any():
        return np.zeros(len(squares))
    slopes = products / np.where(varies, squares, 1.0)
    overall_slope = products.sum() / squares.sum()
    gains = np.clip((slopes + overall_slope) / 2, 0.0, MOST_GAIN)
    return np.where(varies, gains, 0.0)


def _mean_and_weights(people: Sequence[Person], rows: slice) -> tuple[Float64, Float64]:
    """Return the mean of a set's standardised rows, and weights of deviations from it."""
    mean = np.zeros(people[0].connectomes[0][rows].shape)
    spread = np.zeros_like(mean)
    for number, person in enumerate(people, 1):
        segments = _features_of(person, rows)
        connectome = sum(share * features for share, features in segments)
        change = connectome - mean
        mean += change / number
        spread += change * (connectome - mean)
    sd = np.sqrt(spread / len(people))
    # Connectomes that differ only by rounding do not differ.
    varies = sd.mean() > _ROUNDING * np.abs(mean).mean()
    return mean, np.asarray(sd / sd.mean() if varies else np.zeros_like(sd))


def _deviation(
    person: Person, rows: slice, mean: Float64, weights: Float64
) -> tuple[Float64, float]:
    """Return means over segments of weighted deviations (rois, places) and of their squares."""
    mean_deviation = np.zeros(mean.shape)
    mean_square = 0.0
    for share, features in _features_of(person, rows):
        features -= mean
        features *= weights
        squares = float(np.einsum("rv,rv->", features, features))
        mean_square += share * squares / features.size
        features *= share
        mean_deviation += features
    return mean_deviation, mean_square


def _features_of(person: Person, rows: slice) -> Iterator[tuple[float, Float64]]:
    """Yield each segment's weight in the mean, and a set's standardised rows (rois, places)."""
    total = sum(person.weights)
    for segment, weight in zip(person.connectomes, person.weights, strict=True):
        yield weight / total, standardised(segment[rows])


def _standardised_parts(connectome: Floats) -> Iterator[tuple[slice, Floats]]:
    """Yield a range of voxels, and the rows there, standardised over all voxels."""
    places = connectome.shape[1]
    float_type = connectome.dtype.type
    parts = [slice(low, low + _PLACES) for low in range(0, places, _PLACES)]
    mean = connectome.mean(axis=1, dtype=np.float64, keepdims=True).astype(float_type)
    squares = np.zeros(mean.shape)
    largest = np.zeros(mean.shape, float_type)
    for part in parts:
        values = connectome[:, part]
        for extremes in (values.max, values.min):
            size = np.abs(extremes(axis=1, keepdims=True))
            np.maximum(largest, size, out=largest)
        values = values - mean
        squares += np.einsum("rv,rv->r", values, values)[:, None]
    sd = np.sqrt(squares / places)
    # A row that is constant up to rounding carries no information.
    flat = sd <= 8 * np.finfo(float_type).eps * largest
    scale = np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, sd)).astype(float_type)
    for part in parts:
        features = connectome[:, part] - mean
        features *= scale
        yield part, features
