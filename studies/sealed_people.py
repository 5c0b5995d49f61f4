"""Judge a frozen model once, by people that its developers do not have.

    python studies/sealed_people.py --workflow maps --model BUNDLE --data rest.npz task.npz \
        --array-key targets=beta contrasts=conditions
    python studies/sealed_people.py --workflow dynamics --model BUNDLE --data day1.npz day2.npz \
        --array-key rest=bold people=subject places=region tr_seconds=tr

`maps`: a linear model of arrays, and people with rest and measured maps. The group average is the
mean map of the model's training people, which its bundle holds. `dynamics`: a linear core, and
series of two sessions: one is read, the other one judges. The program's own `evaluate` leaves out
people that the model was made with, and writes its tables and page below ``--out``.

The table is the result. Run it once for a model: no default of the program is changed after it.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg import load_bundle
from bids_dtg.bundles.bundle import Bundle, load_any_bundle
from bids_dtg.cli.run import main as bids_dtg
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.judging.model_scores import score_judged, score_maps
from bids_dtg.contrasts.judging.model_table import summary_row
from bids_dtg.files.text import read_rows
from bids_dtg.inputs.arrays import read_arrays
from bids_dtg.inputs.statmaps import plain_contrast

MAPS = {
    "residual_r": "residual r",
    "identification": "identified",
    "r_minus_group_average": "r - group average",
    "above_group_average": "people above it",
    "index": "r - another person's",
    "r_minus_own_mean": "r - own mean",
}
DYNAMICS = {
    "fit": "FC r",
    "advantage_fit": "the model's r less this",
    "residual": "residual r",
    "identified": "identified",
    "r2_1": "R², 1",
    "nll_1": "nll",
    "fcd": "FCD distance",
}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workflow", choices=["maps", "dynamics"], default="maps")
    parser.add_argument("--model", type=Path, required=True, help="folder of a bundle")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="files of arrays")
    parser.add_argument("--array-key", nargs="+", default=[], metavar="NAME=KEY")
    parser.add_argument("--out", type=Path, help="for the tables and the page; default: none kept")
    args = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        out = args.out or Path(temporary)
        table = maps_table if args.workflow == "maps" else dynamics_table
        table(args.model, args.data, args.array_key, out)


def maps_table(model: Path, data: Sequence[Path], keys: Sequence[str], out: Path) -> None:
    """Print scores of predicted maps, and of another person's and the mean prediction."""
    bundle = load_bundle(str(model))
    mean = training_mean(bundle)
    folder = evaluated("contrasts", model, data, keys, out)
    with np.load(folder / "desc-predictions.npz") as found:
        predicted, labels = found["values"], found["people"].tolist()
    people = read_arrays(data, keys)
    known = {plain_contrast(name): number for number, name in enumerate(people.contrasts)}
    # Contrasts that were measured, in the model's order.
    rows = [n for n, row in enumerate(bundle.contrasts) if plain_contrast(row.label) in known]
    theirs = [known[plain_contrast(bundle.contrasts[n].label)] for n in rows]
    measured = np.stack([people.read_targets(label)[theirs] for label in labels])
    average = np.broadcast_to(mean[rows], measured.shape)
    group = score_maps("training people's mean map", average, measured)
    judged = score_judged(bundle.card.name, predicted[:, rows], measured, mean[rows])
    print_lead(bundle, f"{len(labels)} people, {len(rows)} contrasts")
    print_table(
        MAPS,
        [(one.name, summary_row(one, group)) for one in judged],
        f"r of the training people's mean map: {cell(summary_row(group)['r'], 3)}; chance of "
        f"identification: {1 / len(labels):.3f}",
    )


def training_mean(bundle: ModelBundle) -> np.ndarray:
    """Return the mean maps of the training people, (contrasts, places)."""
    record = (bundle.card.record or {}).get("linear", {})
    if "strength" not in record or bundle.correction is None:
        raise SystemExit(
            f"{bundle.path} keeps no mean map of its training people. Expected: a weighted linear "
            "model (--architecture linear of arrays)"
        )
    return bundle.correction.offset


def dynamics_table(model: Path, data: Sequence[Path], keys: Sequence[str], out: Path) -> None:
    """Print what a linear core and simpler models say of another session."""
    folder = evaluated("dynamics", model, data, keys, out)
    found = read_rows(folder / "desc-another_session_scores.tsv")
    rows = []
    for row in found:
        cells: dict[str, Any] = {}
        for name in DYNAMICS:
            ends = [row.get(column, "n/a") for column in (name, f"{name}_low", f"{name}_high")]
            values = [float(text) if text != "n/a" else math.nan for text in ends]
            cells[name] = values[0] if math.isnan(values[1]) else values
        rows.append((row["words"], cells))
    print_lead(load_any_bundle(model), f"{found[0]['people']} people, two sessions")
    print_table(DYNAMICS, rows, f"chance of identification: {1 / int(found[0]['people']):.3f}")


def evaluated(
    workflow: str, model: Path, data: Sequence[Path], keys: Sequence[str], out: Path
) -> Path:
    """Let the program evaluate a model, and return the folder of its results."""
    words = [data[0].parent, out, "group", "--workflow", workflow, "--analysis", "evaluate"]
    words += ["--model", model, "--input-arrays", *data, "--model-name", "sealed"]
    words += ["--array-key", *keys] if keys else []
    if status := bids_dtg([str(word) for word in words]):
        raise SystemExit(status)
    return out / "group" / "evaluation-sealed"


def print_lead(bundle: Bundle[Any], people: str) -> None:
    """Print what is judged, and by whom."""
    print(f"\n{bundle.card.name} {bundle.card.version} ({bundle.identity[:12]}): {people}\n")


def print_table(
    names: Mapping[str, str], rows: Sequence[tuple[str, Mapping[str, Any]]], note: str
) -> None:
    """Print rows with their names; numbers have 95 % intervals over people."""
    print("| | " + " | ".join(names.values()) + " |\n|" + "---|" * (1 + len(names)))
    for name, values in rows:
        cells = [cell(values.get(key), 4 if " - " in words else 3) for key, words in names.items()]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"\n{note}; [95 % interval over people]", flush=True)


def cell(value: Any, digits: int) -> str:
    """Write a number, or a mean and its interval."""
    mean, *ends = value if isinstance(value, list) else [value]
    if mean is None or math.isnan(mean):
        return ""
    text = f"{mean:.{digits}f}"
    return f"{text} [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]" if ends else text


if __name__ == "__main__":
    main()
