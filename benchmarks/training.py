"""Train the kind `linear` from images: eight people at 2 mm, the contrasts of two tasks.

    python benchmarks/training.py [--people 8] [--frames 300] [--folder FOLDER]

The people are of the phantom of the demo; nobody names a model, so that ROI maps are made by group
ICA, and cross-validation judges the model. Prints seconds and seconds of the processor from the
command line to the bundle. `--folder` keeps the people, which take longer to make than to train on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from participant import run

TASKS = ("EMOTION", "LANGUAGE")


def make_people(folder: Path, people: int, frames: int) -> None:
    """Write rest and measured maps of simulated people, and a model whose masks are at 2 mm."""
    import bids_dtg.bundles
    from bids_dtg.contrasts.phantom import dataset
    from bids_dtg.contrasts.phantom.model import Phantom
    from bids_dtg.contrasts.phantom.tasks import CONTRASTS
    from bids_dtg.phantom.streams import Cohort

    rows = [n for n, contrast in enumerate(CONTRASTS) if contrast.task in TASKS]
    phantom, plan = Phantom(), dataset.RunPlan(frames)
    everybody = [phantom.person(Cohort.DEMO, number) for number in range(people)]
    dataset.describe_datasets(folder, phantom, everybody, plan=plan, generator={"Name": "bench"})
    dataset.CONTRASTS = tuple(CONTRASTS[n] for n in rows)
    for person in everybody:
        dataset.write_run(folder / "fmriprep", person, plan)
        maps = person.measured_maps(0)[rows]
        dataset._write_maps(folder / "statmaps", person, maps, None)
        print(f"  made {dataset.participant_label(person.index)}", flush=True)
    # What a call without --model reads masks of.
    shutil.copytree(Path(bids_dtg.bundles.__file__).parent / "demo", folder / "models/hcp-ya")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="keep the people in this folder")
    args, more = parser.parse_known_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="dtg-training-"))
    if not (folder / "models").is_dir():
        make_people(folder, args.people, args.frames)
    shutil.rmtree(folder / "out", ignore_errors=True)
    os.environ["DTG_MODEL_DIR"] = str(folder / "models")
    words = [str(folder / "fmriprep"), str(folder / "out"), "group", "--analysis", "train"]
    words += ["-d", f"statmaps={folder / 'statmaps'}", "--architecture", "linear", *more]
    done = run([sys.executable, "-m", "bids_dtg.cli", *words], memory=False)
    print(done.output)
    print(f"{args.people} people: {done.wall_s:.0f} s, {done.cpu_s:.0f} s of the processor")
    if args.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
