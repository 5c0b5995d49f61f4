"""One forward pass of the network by general runtimes, against ours: whole processes, in turn.

Each process imports what it needs, reads the weights from a file, prepares, and predicts the maps
of one connectome at the published size and grid: as often as a call for one run does, once. ONNX
Runtime and OpenVINO read the same network, batch norm folded, in a file of ONNX. They are no
dependency: an environment of the same Python has them.

    python -m venv OTHER && OTHER/bin/pip install onnx onnxruntime openvino
    python benchmarks/runtimes.py --packages OTHER/lib/python3.11/site-packages [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WEIGHTS, NETWORK, MASK, CONNECTOME = "weights.npz", "network.onnx", "mask.npy", "connectome.npy"
OURS = "ours"


def export(folder: Path, packages: Path) -> None:
    """Write the network in both forms, a mask and a connectome."""
    sys.path.append(str(packages))  # torch writes ONNX by the package onnx
    import numpy as np
    import torch
    from forward import ROIS, grey_matter, random_parameters

    from bids_dtg.contrasts.network.dense import folded_network
    from bids_dtg.contrasts.network.unet import AttentionUNet

    parameters, mask = random_parameters(), grey_matter()
    network = folded_network(AttentionUNet.from_parameters(parameters)).requires_grad_(False)
    grid = torch.zeros(1, ROIS, *mask.shape)
    names = {"input_names": ["connectome"], "output_names": ["maps"]}
    torch.onnx.export(network, (grid,), str(folder / NETWORK), dynamo=False, **names)
    np.savez(folder / WEIGHTS, **parameters.arrays)
    np.save(folder / MASK, mask)
    connectome = np.random.default_rng(0).uniform(-1, 1, (ROIS, mask.sum()))
    np.save(folder / CONNECTOME, connectome.astype(np.float32))


def by_ours(folder: Path, mask: Any, threads: int) -> Callable[[Any], Any]:
    import numpy as np

    from bids_dtg.contrasts.network.parameters import Parameters
    from bids_dtg.contrasts.network.prepared import prepare

    with np.load(folder / WEIGHTS) as arrays:
        parameters = Parameters.from_arrays(dict(arrays))
    return prepare(parameters, mask, threads=threads).predict


def by_onnx_runtime(folder: Path, mask: Any, threads: int) -> Callable[[Any], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(folder / NETWORK), options, providers=["CPUExecutionProvider"]
    )
    return on_grid(mask, lambda grid: session.run(None, {"connectome": grid})[0])


def by_openvino(folder: Path, mask: Any, threads: int) -> Callable[[Any], Any]:
    import openvino

    # As ours: by default it may round to 16 bits where the processor has them.
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(folder / NETWORK, "CPU", settings)
    return on_grid(mask, lambda grid: model(grid)[0])


def on_grid(mask: Any, run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what puts a connectome (rois, voxels) on the grid, and takes the maps off it."""
    import numpy as np

    def predict(connectome: Any) -> Any:
        grid = np.zeros((1, len(connectome), *mask.shape), np.float32)
        grid[0, :, mask] = connectome.T
        return run(grid)[0][:, mask]

    return predict


FORMS = {OURS: by_ours, "ONNX Runtime": by_onnx_runtime, "OpenVINO": by_openvino}


def child(form: str, folder: Path, threads: int) -> None:
    """Predict once, and print how long that took by itself."""
    import numpy as np

    mask = np.load(folder / MASK)
    predict = FORMS[form](folder, mask, threads)
    start = time.perf_counter()
    maps = predict(np.load(folder / CONNECTOME))
    forward = time.perf_counter() - start
    np.save(folder / f"{form}.npy", maps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"forward_s": forward, "peak_mb": peak}))


def timed(form: str, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Run a process; return its seconds, and those of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, __file__, "--form", form, "--folder", str(folder)]
    command += ["--packages", str(options.packages), "--threads", str(options.threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall, "cpu_s": cpu, **json.loads(done.stdout.splitlines()[-1])}


def compare(options: argparse.Namespace, folder: Path) -> None:
    import numpy as np

    made = [{form: timed(form, options, folder) for form in FORMS} for _ in range(options.rounds)]
    maps = {form: np.load(folder / f"{form}.npy") for form in FORMS}
    print(f"{os.cpu_count()} cores, {options.threads} threads, medians of {options.rounds}")
    for form in FORMS:
        middle = {
            name: statistics.median(found[form][name] for found in made) for name in made[0][form]
        }
        apart = np.abs(maps[form] - maps[OURS]).max() / np.abs(maps[OURS]).max()
        print(
            f"{form:13} whole process {middle['wall_s']:.2f} s ({middle['cpu_s']:.2f} CPU-s), "
            f"forward {middle['forward_s']:.2f} s, peak {middle['peak_mb']:.0f} MB, "
            f"maps within {apart:.0e} of the largest"
        )
    for form in FORMS:
        if form == OURS:
            continue
        for name in ("wall_s", "cpu_s"):
            ratios = sorted(found[form][name] / found[OURS][name] for found in made)
            spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
            print(f"{form} / {OURS}, {name}: {statistics.median(ratios):.2f} ({spread})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, required=True, help="where the runtimes are")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--form", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.form:
        sys.path.append(str(options.packages))
        child(options.form, options.folder, options.threads)
        return
    with tempfile.TemporaryDirectory(prefix="dtg-bench-") as name:
        # A process of its own: torch's memory and threads are no part of the comparison.
        folder = Path(name)
        program = "import sys; from pathlib import Path; import runtimes; "
        program += "runtimes.export(Path(sys.argv[1]), Path(sys.argv[2]))"
        subprocess.run(
            [sys.executable, "-c", program, name, str(options.packages)],
            check=True,
            cwd=Path(__file__).parent,
        )
        compare(options, folder)


if __name__ == "__main__":
    main()
