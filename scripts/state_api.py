"""Use the Python API as a user would, and write what it returns to files: arrays and tables.

    python state_api.py BOLD MODEL MAPS FOLDER

Only the names of the package itself are imported: modules may move, these may not.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bids_dtg


def write_task_maps(bold: Path, model: str, folder: Path) -> None:
    """Write what the estimator makes of an image: maps, region means, warnings."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        maps = bids_dtg.TaskMaps(model=model, device="cpu", threads=1).fit()
        maps.transform(bold).to_filename(folder / "maps.nii.gz")
        maps.mask_img_.to_filename(folder / "mask.nii.gz")
    said = [f"{warning.category.__name__}: {warning.message}" for warning in heard]
    (folder / "warnings.txt").write_text("\n".join([*said, ""]), "utf-8")
    maps.set_output(transform="pandas")
    frame = maps.transform([bold], sample_mask=[np.arange(3, 101)])
    write_table(folder / "regions.tsv", frame)
    names = [*map(str, maps.get_feature_names_out()), repr(maps), *sorted(maps.get_params())]
    (folder / "names.txt").write_text("\n".join([*names, ""]), "utf-8")


def write_steps(bold: Path, model: str, folder: Path) -> None:
    """Write what the way from a file to its maps gives, a step each."""
    settings = bids_dtg.Settings.of(
        bids_dir=bold.parents[2],
        output_dir=folder / "out",
        analysis_level="participant",
        participant_label=("sim001",),
        model=model,
        omp_nthreads=1,
        no_reports=True,
    )
    bundle = bids_dtg.load_bundle(model)
    (run,) = bids_dtg.find_runs(settings)
    measured = bids_dtg.measure(run, bundle, settings.cleaning)
    estimate = bids_dtg.predict_maps(measured, bundle)
    (folder / "languageMath.nii.gz").write_bytes(
        bundle.places.encode(estimate.map_of("languageMath"))
    )
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((*bundle.grid.shape, 60), dtype=np.float32)
    at_hand = bids_dtg.measure_array(
        noise, bundle.grid.affine, bundle, repetition_time_s=2.0, keep=np.arange(60) >= 3
    )
    np.savez(
        folder / "steps.npz",
        measured=measured.r,
        estimate=estimate.values,
        at_hand=at_hand.r,
        volume=bundle.places.volume(estimate.values[0]),
    )
    labels = [contrast.label for contrast in estimate.contrasts]
    facts = {"run": run.title, "seconds": measured.seconds, "contrasts": labels}
    (folder / "steps.json").write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    print("failed:", bids_dtg.run_workflow(settings))


def write_linear(folder: Path) -> None:
    """Write what the linear model of arrays predicts; earlier states have none."""
    if not hasattr(bids_dtg, "fit_linear"):
        return
    rng = np.random.default_rng(0)
    networks = rng.random((9, 4, 80)) ** 4
    rest = np.einsum("nkv,nkt->nvt", networks, rng.standard_normal((9, 4, 300)))
    model = bids_dtg.fit_linear(rest[:8], networks[:8, :2], tr_seconds=2.0, sets=(3, 4))
    np.savez(folder / "linear.npz", maps=model.predict(rest[8]))


def write_loaded(maps: Path, folder: Path) -> None:
    """Write what an output folder of the command line holds, as tables."""
    loaded = bids_dtg.load_maps(maps)
    write_table(folder / "loaded_maps.tsv", loaded)
    write_table(folder / "loaded_regions.tsv", bids_dtg.load_maps(maps, atlas="Schaefer400"))


def write_table(path: Path, frame: Any) -> None:
    """Write a data frame with the types of its columns."""
    table = pd.DataFrame(frame)
    types = pd.DataFrame([[str(kind) for kind in table.dtypes]], columns=table.columns)
    pd.concat([types, table.astype(object)]).to_csv(path, sep="\t", na_rep="n/a")


def main() -> None:
    """Run the script."""
    bold, maps, folder = Path(sys.argv[1]), Path(sys.argv[3]), Path(sys.argv[4])
    folder.mkdir(parents=True)
    print("version:", bids_dtg.__version__, "names:", *bids_dtg.__all__)
    write_task_maps(bold, sys.argv[2], folder)
    write_steps(bold, sys.argv[2], folder)
    write_linear(folder)
    write_loaded(maps, folder)


if __name__ == "__main__":
    main()
