"""Is the phantom like real people? Residual r and identification of models, side by side.

    python studies/phantom_match.py ../shared/data/real/hcp30 --work FOLDER --seeds 1 2 3

Simulated people at 8 mm are grouped to 360 parcels, with 14.4 minutes of rest and maps of 24
conditions, as the 20 people of hcp30 have them; both are split, fitted and scored by the same code.
Models: `linear`, the weighted one without an amplitude of its own, of the partial form; the plain
linear one of the marginal form; local ridge and the parcel-wise baseline of either form. A figure
fits if the mean over phantoms lies in the 95 % interval over real people. Then scores of maps at
voxels beside the publication's.
The work folder keeps all scores: the same command resumes a stopped call. `--set` changes
parameters, `--variant` takes people outside what the models assume.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from linear_maps import Weighted
from linear_maps import predicted as predicted_by
from numpy.typing import NDArray
from phantom_calibration import scores
from real_people import FORMS, PEOPLE, Averages, Split, Study, fitted, judged, score
from scipy.cluster.vq import kmeans2

from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import VARIANTS, VERSION_2, PhantomParameters
from bids_dtg.inputs.arrays import read_arrays
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.paired import t_interval

Array = NDArray[np.float32]
Scores = dict[str, list[float]]  # of people, by score
Table = dict[str, Scores]  # by number of people and model

BLOCK, PARCELS, SEGMENTS, SIMULATED = 4, 360, 2, 20
SHOWN = {"residual r": 1, "identified": 2, "r - group": 0}  # columns of `score`
ORDERED = ("linear, partial", "linear, marginal", "local ridge, partial", "local ridge, marginal")
FITTED = ORDERED[:2]  # what the phantom is to match; of the other two, the order
MODELS = (*ORDERED, "linear-parcel, partial", "linear-parcel, marginal")
PUBLISHED = {"group average, r": 0.524, "retest, r": 0.470, "retest, product": 0.097}


def simulated(phantom: Phantom, folder: Path, people: int = SIMULATED) -> dict[str, float]:
    """Write people as arrays by parcel, and return scores of their maps at voxels."""
    anatomy = phantom.anatomy
    _, label = kmeans2(anatomy.places.points, PARCELS, seed=phantom.seed, minit="++")
    members = (label[:, None] == np.unique(label)).astype(np.float32)
    average = members / members.sum(axis=0)
    rest, betas, maps = [], [], []
    for n in range(people):
        person = phantom.person(Cohort.TRAINING, n)
        frames = [person.frames(0, k)[:, anatomy.grey_in_brain] @ average for k in range(SEGMENTS)]
        rest.append(np.concatenate(frames).T)
        maps.append([person.measured_maps(session) for session in (0, 1)])
        betas.append(conditions_of(phantom, maps[-1][0]) @ average)
    seconds = 432.0 / phantom.parameters.samples
    np.savez(folder / "rest.npz", rest=np.stack(rest), tr_seconds=seconds)
    names = np.array([f"condition{n:02d}" for n in range(len(betas[0]))])
    np.savez(folder / "task.npz", beta=np.stack(betas), conditions=names)
    return published_scores(np.array(maps))


def conditions_of(phantom: Phantom, maps: Array) -> Array:
    """Return maps of conditions (24, voxels) from those of contrasts, noise included."""
    return np.asarray(np.linalg.pinv(phantom.design) @ maps, np.float32)


def published_scores(maps: Array) -> dict[str, float]:
    """Score maps (people, sessions, contrasts, voxels) as the publication does its own."""
    first, second = maps[:, 0], maps[:, 1]
    others = (first.sum(axis=0) - first) / (len(first) - 1)
    mean = first.mean(axis=0)
    group, retest = (scores(predicted, first, mean) for predicted in (others, second))
    values = group["r"], retest["r"], retest["product"]
    return {name: float(own.mean()) for name, own in zip(PUBLISHED, values, strict=True)}


def of_models(folder: Path, splits: int) -> Table:
    """Fit and score the models on people in a folder of arrays."""
    people = read_arrays(
        [folder / "rest.npz", folder / "task.npz"], ["targets=beta", "contrasts=conditions"]
    )
    study, found = Study(people, splits), dict[str, Averages]()
    for training, test in PEOPLE:
        for split in study.drawn(training, test):
            for model, values in of_split(study, split).items():
                found.setdefault(f"{training} {model}", Averages()).add(split.test, values)
    return {
        row: {name: of._people()[:, column].tolist() for name, column in SHOWN.items()}
        for row, of in found.items()
    }


def of_split(study: Study, split: Split) -> dict[str, NDArray[np.float64]]:
    """Return scores of a split's test people by model."""
    weighted = Weighted(study, 0)
    space = weighted.space(split.training, None)
    sets = weighted.people(split, space, None, None, short=False)
    model = fitted("linear", sets[0], space, study.people.contrasts)
    model = dataclasses.replace(model, model=dataclasses.replace(model.model, amplitude=None))
    found = {MODELS[0]: score(predicted_by(model, sets[1]), *sets)}
    space, runs = study.measured(split, None)
    for name in MODELS[1:]:
        kind, form = name.split(", ")
        kind = kind.replace(" ", "-")
        own = study.sets(split, runs, FORMS[form], kind)
        found[name] = judged(kind, own, space, study)
    return found


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """Return what an earlier call has kept, or make and keep it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make()))
    return json.loads(path.read_text())


def of_phantom(parameters: PhantomParameters, seed: int, splits: int) -> dict[str, Any]:
    """Simulate a phantom's people and score the models on them."""
    phantom = Phantom(parameters, seed=seed, block=BLOCK)
    with tempfile.TemporaryDirectory() as folder:
        published = simulated(phantom, Path(folder))
        return {"published": published, "models": of_models(Path(folder), splits)}


def print_tables(real: Table, phantoms: Mapping[int, Mapping[str, Any]]) -> bool:
    """Print real and simulated figures, and return whether all that is asked fits."""
    print("| people | model | score | real [95 %] | phantoms | mean | fits |")
    print("|---|---|---|---|---|---|---|")
    fits, order = True, True
    for row, of_people in real.items():
        number, model = row.split(" ", 1)
        for name, values in of_people.items():
            within = t_interval(np.array(values))
            each = [np.mean(one["models"][row][name]) for one in phantoms.values()]
            mean = float(np.mean(each))
            asked = model in FITTED and name != "r - group"
            fit = within.low <= mean <= within.high
            fits &= fit or not asked
            digits = 2 if name == "identified" else 4 if "group" in name else 3
            shown = [
                f"{within.mean:.{digits}f} [{within.low:.{digits}f}, {within.high:.{digits}f}]",
                " ".join(f"{value:.{digits}f}" for value in each),
                f"{mean:.{digits}f}",
                ("yes" if fit else "no") if asked else "",
            ]
            print("| " + " | ".join([number, model, name, *shown]) + " |")
    for number, _ in PEOPLE:
        means = [
            np.mean(
                [np.mean(one["models"][f"{number} {m}"]["residual r"]) for one in phantoms.values()]
            )
            for m in ORDERED
        ]
        order &= bool(np.all(np.diff(means) < 0))
    print(f"\norder of the four by residual r as in real people: {'yes' if order else 'no'}\n")
    for name, value in PUBLISHED.items():
        each = [one["published"][name] for one in phantoms.values()]
        print(f"{name}: published {value}, phantoms {' '.join(f'{own:.3f}' for own in each)}")
    return fits and order


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with rest.npz and task.npz of real people")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--variant", choices=VARIANTS, default="as calibrated")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    args = parser.parse_args()
    real = kept(args.work / f"real_{args.splits}.json", lambda: of_models(args.folder, args.splits))
    parameters = changed(VERSION_2, VARIANTS[args.variant], args.set)
    phantoms = {}
    for seed in args.seeds:
        path = args.work / f"{parameters.hash[:12]}_{seed}_{args.splits}.json"
        phantoms[seed] = kept(path, lambda seed=seed: of_phantom(parameters, seed, args.splits))
    print(f"parameters {parameters.hash[:12]} {' '.join(args.set)}\n")
    print("all fits" if print_tables(real, phantoms) else "not all fits")


def changed(
    parameters: PhantomParameters, variant: Mapping[str, Any], settings: Sequence[str]
) -> PhantomParameters:
    """Return parameters with those of a variant and with NAME=VALUE."""
    values = dict(variant)
    for item in settings:
        name, value = item.split("=")
        values[name] = type(getattr(parameters, name))(float(value))
    return dataclasses.replace(parameters, **values)


if __name__ == "__main__":
    main()
