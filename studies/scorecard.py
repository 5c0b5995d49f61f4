"""A scorecard of predictors: how individual are predicted maps, on real and on simulated people?

    # fit each row to real people, and to simulated ones; write a file a row, and score them all
    python studies/scorecard.py fit ../shared/data/real/hcp30 --out FOLDER/hcp30
    python studies/scorecard.py fit FOLDER/phantom2 --simulate 11 --out FOLDER/phantom2
    # any predictor of your own: an .npz with `maps` (people, contrasts, places) in task.npz's order
    python studies/scorecard.py score ../shared/data/real/hcp30 FOLDER/hcp30/*.npz

A file may have `mean`, (people, contrasts, places): the mean map of the people that a person's map
was fitted to (without it, the mean of all other people counts), and `tested_with`, (people,):
numbers of groups that were predicted by one model (without it, all are one). `half_widths` of 90 %,
shaped as `maps`, give a coverage. Rows are fitted in five folds over people, each to 16 of 20; all
that a row needs comes from its training people. They are re-implemented "after" their source, with
the departures in `ROWS`. Scores of a person: r with the measured map less that of the mean map;
residual r, of both less their means over the group tested together; whether the own prediction
is the most similar one of the group, so centred. Over all people instead,
models that differ between folds would give the test people away: a mean over training people lacks
what is theirs. Intervals: t over people; identification: Wilson.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from linear_maps import Weighted, predicted
from numpy.typing import NDArray
from phantom_match import BLOCK, simulated
from real_people import FORMS, Runs, Split, Study, fitted, parts_of, pearson_r
from scipy.stats import kurtosis
from sklearn.kernel_ridge import KernelRidge

from bids_dtg.contrasts.kind import ModelSpace
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import VERSION_2
from bids_dtg.inputs.arrays import read_arrays
from bids_dtg.stats.metrics import correlation_matrix
from bids_dtg.stats.paired import t_interval, wilson_interval

Array = NDArray[np.float32]
Values = NDArray[np.float64]
Columns = Callable[[str], Values]  # of a person: (places, columns)

FOLDS, ROIS = 5, 50
COLUMN_RIDGE = 1.0  # times the mean eigenvalue, of coefficients on deviations
ALFF_HZ = (0.01, 0.08)


@dataclasses.dataclass(frozen=True, eq=False)
class Fold:
    """The people of a fold, and what is made of the training people's rest."""

    study: Study
    split: Split

    @cached_property
    def unmix(self) -> Values:
        """What turns rest into the series of the training people's ROI maps, (rois, places)."""
        return unmixing(self.space_and_runs[0].roi_maps)

    @cached_property
    def space_and_runs(self) -> tuple[ModelSpace, Runs]:
        """Where models read and predict, and everybody's rest reduced to partial connectomes."""
        return self.study.measured(self.split, None, ROIS)

    def measured(self, label: str) -> Array:
        """Return a person's measured maps, (contrasts, places)."""
        return self.study.people.read_targets(label)

    def rest(self, label: str) -> Values:
        """Return a person's rest, (places, frames), standardised over time."""
        rest = self.study.rest(label, None).astype(np.float64)
        rest -= rest.mean(axis=1, keepdims=True)
        return rest / np.maximum(rest.std(axis=1, keepdims=True), 1e-12)


def group_average(fold: Fold) -> Array:
    """Predict the training people's mean for everybody."""
    mean = np.mean([fold.measured(label) for label in fold.split.training], axis=0)
    return np.stack([mean] * len(fold.split.test)).astype(np.float32)


def tavor(fold: Fold) -> Array:
    """Predict from marginal connectomes by each person's least squares, averaged."""
    return across_places(fold, lambda label: marginal(fold.rest(label), fold.unmix))


def conn_task(fold: Fold) -> Array:
    """Predict as `tavor`, from the series of each person's own maps."""

    def columns(label: str) -> Values:
        rest = fold.rest(label)
        own = np.linalg.lstsq((fold.unmix @ rest).T, rest.T, rcond=None)[0]
        return marginal(rest, unmixing(own))

    return across_places(fold, columns)


def temporal(fold: Fold) -> Array:
    """Predict from what each place's series is like by itself, without any connection."""
    return across_places(
        fold,
        lambda label: temporal_features(
            fold.study.rest(label, None).astype(np.float64), fold.study.people.rest[0].tr_seconds
        ),
    )


def zheng_alone(fold: Fold) -> Array:
    """Predict deviations from deviations of partial connectomes, pooled over places and people."""
    _, runs = fold.space_and_runs

    def columns(label: str) -> Values:
        (part,) = parts_of(runs[label], "linear")
        return standard(part.r.T.astype(np.float64))

    found = {label: columns(label) for label in (*fold.split.training, *fold.split.test)}
    mean = np.mean([found[label] for label in fold.split.training], axis=0)
    mean_maps = group_average(fold)[0]
    gram, cross = 0.0, 0.0
    for label in fold.split.training:
        deviation = found[label] - mean
        gram = gram + deviation.T @ deviation
        cross = cross + deviation.T @ (fold.measured(label) - mean_maps).T
    ridge = COLUMN_RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram + ridge, cross)
    return np.stack(
        [mean_maps + ((found[label] - mean) @ weights).T for label in fold.split.test]
    ).astype(np.float32)


def kernel_ridge(fold: Fold) -> Array:
    """Predict all places together from all edges, with a linear kernel."""
    upper = np.triu_indices(len(fold.study.people.places), k=1)

    def edges(label: str) -> Values:
        rest = fold.rest(label)
        return np.arctanh(np.clip((rest @ rest.T / rest.shape[1])[upper], -0.999, 0.999))

    x = np.array([edges(label) for label in fold.split.training])
    centre = x.mean(axis=0)
    y = np.array([fold.measured(label).ravel() for label in fold.split.training])
    mean = y.mean(axis=0)
    x = x - centre
    alpha = float(np.mean(np.square(x).sum(axis=1)))
    model = KernelRidge(alpha=alpha, kernel="linear").fit(x, y - mean)
    new = np.array([edges(label) for label in fold.split.test]) - centre
    shape = (len(new), *fold.measured(fold.split.test[0]).shape)
    return (mean + model.predict(new)).reshape(shape).astype(np.float32)


def local_ridge(fold: Fold) -> Array:
    """Predict by the package's local ridge of the partial form."""
    space, runs = fold.space_and_runs
    training, test = fold.study.sets(fold.split, runs, FORMS["partial"], "local-ridge")
    return predicted(fitted("local-ridge", training, space, fold.study.people.contrasts), test)


def ours(fold: Fold) -> Array:
    """Predict by the package's `linear`, as `train` fits it to arrays."""
    weighted = Weighted(fold.study, 0)
    space = weighted.space(fold.split.training, None)
    training, test = weighted.people(fold.split, space, None, None, short=False)
    return predicted(fitted("linear", training, space, fold.study.people.contrasts), test)


ROWS: Mapping[str, tuple[Callable[[Fold], Array], str]] = {
    "group average": (group_average, "the mean map of the training people"),
    "linear, after Tavor 2016": (
        tavor,
        "one fit for all places, not one a parcel; 50 ICA maps; not re-centred",
    ),
    "linear, after connTask": (
        conn_task,
        "series of own maps; 50 maps for 43; one fit for all places; not re-centred",
    ),
    "residuals, after Zheng 2022": (
        zheng_alone,
        "step of deviations alone, ridge, dual regression for sPROFUMO; amplitude not apart",
    ),
    "temporal features": (
        temporal,
        "variance, ALFF, fALFF, lag 1 and kurtosis of each place; no connection",
    ),
    "kernel ridge on edges": (kernel_ridge, "linear kernel; penalty: mean squared norm, not tuned"),
    "local ridge, ours": (local_ridge, "partial form; a fifth of the training people validate"),
    "linear, ours": (ours, "`train --architecture linear`"),
}


def across_places(fold: Fold, columns: Columns) -> Array:
    """Average the training people's fits of maps on columns over places, and apply the mean."""

    def design(label: str) -> Values:
        values = standard(columns(label))
        return np.column_stack([np.ones(len(values)), values])

    fits = [
        np.linalg.lstsq(design(label), fold.measured(label).T, rcond=None)[0]
        for label in fold.split.training
    ]
    mean = np.mean(fits, axis=0)
    return np.stack([(design(label) @ mean).T for label in fold.split.test]).astype(np.float32)


def unmixing(maps: NDArray[np.floating]) -> Values:
    """Return the pseudo-inverse of centred maps, (maps, places): series are it times rest."""
    centred_maps = maps.astype(np.float64) - maps.mean(axis=1, keepdims=True, dtype=np.float64)
    return np.asarray(np.linalg.pinv(centred_maps.T), np.float64)


def marginal(rest: Values, unmix: Values) -> Values:
    """Return Fisher z of places with the series of maps, (places, maps)."""
    series = unmix @ rest
    series -= series.mean(axis=1, keepdims=True)
    series /= np.linalg.norm(series, axis=1, keepdims=True)
    r = rest @ series.T / np.sqrt(rest.shape[1])
    return np.asarray(np.arctanh(np.clip(r, -0.999, 0.999)), np.float64)


def temporal_features(rest: Values, tr_seconds: float) -> Values:
    """Return log variance, ALFF, fALFF, lag 1 and kurtosis of each place, (places, 5)."""
    centred = rest - rest.mean(axis=1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(centred, axis=1))
    hertz = np.fft.rfftfreq(rest.shape[1], tr_seconds)
    low = (hertz >= ALFF_HZ[0]) & (hertz <= ALFF_HZ[1])
    alff = spectrum[:, low].sum(axis=1)
    variance = np.maximum((centred**2).mean(axis=1), 1e-12)
    lag = (centred[:, 1:] * centred[:, :-1]).mean(axis=1) / variance
    share = alff / np.maximum(spectrum[:, 1:].sum(axis=1), 1e-12)
    tails = kurtosis(centred, axis=1)
    return np.column_stack([np.log(variance), np.log(np.maximum(alff, 1e-12)), share, lag, tails])


def standard(columns: Values) -> Values:
    """Standardise columns over places."""
    columns = columns - columns.mean(axis=0)
    return np.asarray(columns / np.maximum(columns.std(axis=0), 1e-12), np.float64)


def fit(study: Study, out: Path) -> None:
    """Predict everybody's maps by each row, in folds, and write a file a row."""
    labels = study.people.labels
    out.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(0).permutation(len(labels))
    tested = [sorted(labels[n] for n in order[number::FOLDS]) for number in range(FOLDS)]
    folds = [
        Fold(study, Split(tuple(label for label in labels if label not in test), tuple(test)))
        for test in tested
    ]
    for name, (row, _) in ROWS.items():
        path = out / f"{name.replace(' ', '_').replace(',', '')}.npz"
        if path.exists():
            continue
        maps: dict[str, Array] = {}
        means: dict[str, Array] = {}
        for fold in folds:
            maps |= dict(zip(fold.split.test, row(fold), strict=True))
            means |= dict(zip(fold.split.test, group_average(fold), strict=True))
        np.savez(
            path,
            maps=np.stack([maps[label] for label in labels]),
            mean=np.stack([means[label] for label in labels]),
            tested_with=[n for label in labels for n in range(FOLDS) if label in tested[n]],
        )
        print(f"{path}", flush=True)


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of a predictor by person, means over contrasts, (people,)."""

    above_group: Values
    residual_r: Values
    identified: Values
    coverage: float | None

    @classmethod
    def of(cls, measured: Array, found: Mapping[str, NDArray[np.floating]]) -> Scores:
        """Score predicted maps by measured ones, both (people, contrasts, places).

        Raises
        ------
        ValueError
            The maps have another shape than the measured ones.
        """
        maps = found["maps"]
        if maps.shape != measured.shape:
            raise ValueError(f"maps are {measured.shape}, found {maps.shape}")
        others = (measured.sum(axis=0) - measured) / (len(measured) - 1)
        mean = found.get("mean", others)
        groups = found.get("tested_with", np.zeros(len(maps)))
        above, residual, identified = [], [], []
        for q in range(measured.shape[1]):
            away, truth = (centred(values[:, q], groups) for values in (maps, measured))
            above.append(
                pearson_r(maps[:, q], measured[:, q]) - pearson_r(mean[:, q], measured[:, q])
            )
            residual.append(pearson_r(away, truth))
            identified.append(own_is_nearest(away, truth, groups))
        coverage = None
        if "half_widths" in found:
            coverage = float((np.abs(maps - measured) <= found["half_widths"]).mean())
        means = (np.mean(values, axis=0) for values in (above, residual, identified))
        return cls(*means, coverage)


def centred(values: Array, groups: NDArray[np.floating]) -> Array:
    """Return values (people, places) less the means over the groups that people belong to."""
    found = values.astype(np.float32)
    for group in np.unique(groups):
        found[groups == group] -= found[groups == group].mean(axis=0)
    return found


def own_is_nearest(away: Array, truth: Array, groups: NDArray[np.floating]) -> Values:
    """Return whose prediction is the most similar one of the group, (people,); ties by share."""
    found = np.zeros(len(away))
    for group in np.unique(groups):
        inside = np.flatnonzero(groups == group)
        if np.abs(away[inside]).max() < 1e-6:  # all alike
            found[inside] = 1 / len(inside)
            continue
        matrix = correlation_matrix(away[inside], truth[inside]).T
        found[inside] = matrix.argmax(axis=1) == np.arange(len(inside))
    return found


def score(study: Study, files: Sequence[Path]) -> None:
    """Print a row a predictor, ranked by residual r."""
    labels = study.people.labels
    measured = np.stack([study.people.read_targets(label) for label in labels])
    found = {}
    for file in files:
        with np.load(file, allow_pickle=False) as arrays:
            found[file.stem.replace("_", " ")] = Scores.of(measured, dict(arrays))
    print("| predictor | r - group average | residual r | identified | coverage of 90 % |")
    print("|---|---|---|---|---|")
    for name, one in sorted(found.items(), key=lambda row: -row[1].residual_r.mean()):
        cells = [
            f"{at.mean:+.{digits}f} [{at.low:+.{digits}f}, {at.high:+.{digits}f}]"
            for at, digits in ((t_interval(one.above_group), 4), (t_interval(one.residual_r), 3))
        ]
        at = wilson_interval(float(one.identified.mean()), len(one.identified))
        cells.append(f"{at.mean:.2f} [{at.low:.2f}, {at.high:.2f}]")
        cells.append("n/a" if one.coverage is None else f"{one.coverage:.3f}")
        print("| " + " | ".join([name, *cells]) + " |")
    print(f"\n{len(labels)} people")


def study_of(folder: Path) -> Study:
    """Read people from rest.npz and task.npz of a folder."""
    files = [folder / "rest.npz", folder / "task.npz"]
    return Study(read_arrays(files, ["targets=beta", "contrasts=conditions"]), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("fit", "score"))
    parser.add_argument("folder", type=Path, help="with rest.npz and task.npz")
    parser.add_argument("files", type=Path, nargs="*", help="of predicted maps, to score")
    parser.add_argument("--out", type=Path, help="folder for a file a row")
    parser.add_argument("--simulate", type=int, help="seed of a phantom that is written to FOLDER")
    args = parser.parse_args()
    if args.simulate is not None and not (args.folder / "rest.npz").exists():
        args.folder.mkdir(parents=True, exist_ok=True)
        simulated(Phantom(VERSION_2, seed=args.simulate, block=BLOCK), args.folder)
    study = study_of(args.folder)
    if args.step == "fit":
        fit(study, args.out)
        args.files = sorted(args.out.glob("*.npz"))
    score(study, args.files)


if __name__ == "__main__":
    main()
