"""Time the training of a linear model from images, or a step of the network of dynamics.

    python benchmarks/training.py [--people 8] [--frames 300] [--folder FOLDER]
    python benchmarks/training.py --network [--rounds 7] [--against CHECKOUT]

The people are simulated: eight at 2 mm, with contrasts of two tasks. No model is named, so ROI maps
are made by group ICA, and the model is evaluated by cross-validation. The script prints wall-clock
and processor time of the whole command. `--folder` keeps the people, as simulating them takes as
long as the training.

`--network` prints the processor time of an update of the published network on one thread: 68
regions, 1,200 frames, batches of 64 series. `--against` also measures another checkout of the
program, in turns, and prints the ratio of each round.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from participant import run

import bids_dtg.bundles

CONTRASTS = (
    "emotionFaces",
    "emotionShapes",
    "emotionFacesVsShapes",
    "languageMath",
    "languageStory",
    "languageMathVsStory",
)
ROOT = Path(__file__).parent.parent
# Denormal numbers are flushed where the program's training does so.
OF_NETWORK = """
import time
import torch
from bids_dtg.dynamics.model import Items, NetworkModel
from bids_dtg.dynamics.objective import Noise, loss_of, terms_of
from bids_dtg.dynamics.recipe import find_recipe
from bids_dtg.dynamics.task import KerasAdam
from bids_dtg.training import loop

torch.set_num_threads(1)
torch.manual_seed(0)
if hasattr(loop, "_without_denormals"):
    torch.set_flush_denormal(True)
recipe = find_recipe("published")
model = NetworkModel(recipe, people=50, regions=68, frames=1200)
optimizer = KerasAdam([p for p in model.parameters() if p.requires_grad], recipe.learning_rate)
times = [time.process_time()]
for update in range(6):
    series, network = torch.randn(2, 1200, 64)
    items = Items(series, network, torch.randint(50, (64,)))
    noise = Noise.draw(model, items, recipe.samples)
    terms = terms_of(model, items, model.infer(items), noise)
    optimizer.zero_grad()
    loss_of(model, terms, 1.0, 0.1).backward()
    optimizer.step()
    times.append(time.process_time())
print((times[-1] - times[1]) / 5)
"""


def network_seconds(checkout: Path) -> float:
    """Return the processor time of an update of the network, by the program in a folder."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OF_NETWORK],
        cwd=checkout,  # whose package comes first
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def time_network(rounds: int, against: Path | None) -> None:
    ratios = []
    for _ in range(rounds):
        seconds = network_seconds(ROOT)
        line = f"{seconds:.2f} s of the processor an update"
        if against is not None:
            seconds_there = network_seconds(against)
            ratios.append(seconds_there / seconds)
            line += f", {seconds_there:.2f} s in {against}: {ratios[-1]:.2f} times"
        print(line, flush=True)
    if ratios:
        least, most = min(ratios), max(ratios)
        print(f"{statistics.median(ratios):.2f} times ({least:.2f} to {most:.2f})")


def simulate(folder: Path, people: int, frames: int) -> None:
    """Write simulated people, and the model from which a run without --model takes its masks."""
    command = [sys.executable, "-m", "bids_dtg.cli.phantom", str(folder / "people")]
    command += ["--participants", str(people), "--frames", str(frames)]
    subprocess.run(command, check=True)
    demo = Path(bids_dtg.bundles.__file__).parent / "demo"
    shutil.copytree(demo, folder / "models/hcp-ya")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="keep the people in this folder")
    parser.add_argument(
        "--network", action="store_true", help="time a network of dynamics"
    )
    parser.add_argument("--rounds", type=int, default=7, help="of --network")
    parser.add_argument("--against", type=Path, help="another checkout, for --network")
    args, further_words = parser.parse_known_args()
    if args.network:
        time_network(args.rounds, args.against)
        return
    folder = args.folder or Path(tempfile.mkdtemp(prefix="dtg-training-"))
    if not (folder / "models").is_dir():
        simulate(folder, args.people, args.frames)
    shutil.rmtree(folder / "out", ignore_errors=True)
    os.environ["DTG_MODEL_DIR"] = str(folder / "models")
    rest, maps = folder / "people/fmriprep", folder / "people/statmaps"
    words = [str(rest), str(folder / "out"), "group", "--analysis", "train"]
    words += ["-d", f"statmaps={maps}", "--architecture", "linear"]
    words += ["--contrast", *CONTRASTS, *further_words]
    done = run([sys.executable, "-m", "bids_dtg.cli", *words], memory=False)
    print(done.output)
    print(
        f"{args.people} people: {done.wall_s:.0f} s, {done.cpu_s:.0f} s of the processor"
    )
    if args.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
