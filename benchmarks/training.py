"""Time the training of a linear model from images: eight people at 2 mm, contrasts of two tasks.

    python benchmarks/training.py [--people 8] [--frames 300] [--folder FOLDER]

The people are simulated. No model is named, so ROI maps are made by group ICA, and the model is
evaluated by cross-validation. The script prints wall-clock and processor time of the whole command.
`--folder` keeps the people, as simulating them takes as long as the training.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from participant import run

import bids_dtg.bundles

CONTRASTS = ("Faces", "Shapes", "FacesVsShapes"), ("Math", "Story", "MathVsStory")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="keep the people in this folder")
    args, more = parser.parse_known_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="dtg-training-"))
    if not (folder / "models").is_dir():
        of_people = ("--participants", str(args.people), "--frames", str(args.frames))
        words = [sys.executable, "-m", "bids_dtg.cli.phantom", str(folder / "people"), *of_people]
        subprocess.run(words, check=True)
        # A run without --model reads the masks of this model.
        demo = Path(bids_dtg.bundles.__file__).parent / "demo"
        shutil.copytree(demo, folder / "models/hcp-ya")
    shutil.rmtree(folder / "out", ignore_errors=True)
    os.environ["DTG_MODEL_DIR"] = str(folder / "models")
    rest, maps = folder / "people/fmriprep", folder / "people/statmaps"
    labels = [
        task + end
        for task, ends in zip(("emotion", "language"), CONTRASTS, strict=True)
        for end in ends
    ]
    words = [str(rest), str(folder / "out"), "group", "--analysis", "train"]
    words += ["-d", f"statmaps={maps}", "--architecture", "linear", "--contrast", *labels, *more]
    done = run([sys.executable, "-m", "bids_dtg.cli", *words], memory=False)
    print(done.output)
    print(f"{args.people} people: {done.wall_s:.0f} s, {done.cpu_s:.0f} s of the processor")
    if args.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
