"""One forward pass of the network, eager against prepared, at the published size and grid.

Each variant runs in a separate process, so that its peak memory is its own. The variants take
turns, and the ratios compare neighbours. Weights are random (seeded). Usage:

    python benchmarks/forward.py [--rounds 3] [--repeats 3] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROIS, CONTRASTS, SHAPE = 50, 47, (76, 93, 78)
MNI = Path(os.environ.get("DTG_SHARED", "../shared")) / "data" / "mni"
MASKS = [MNI / f"MNI_2mm_{part}_mask_crop.nii.gz" for part in ("cortical", "subcortical")]


def grey_matter() -> Any:
    """Return the real mask or, if it is absent, an ellipsoid shell of similar size."""
    import numpy as np

    if all(path.exists() for path in MASKS):
        import nibabel as nib

        return np.any([np.asanyarray(nib.load(path).dataobj) > 0 for path in MASKS], axis=0)
    axes = (np.linspace(-1, 1, n) for n in SHAPE)
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    return (radius > 0.66) & (radius < 0.94)


def eager_form(network: Any, mask: Any) -> Callable[[Any], Any]:
    import torch

    inside = torch.from_numpy(mask)

    def predict(connectome: Any) -> Any:
        grid = torch.zeros(1, ROIS, *mask.shape)
        grid[0, :, inside] = torch.from_numpy(connectome)
        with torch.inference_mode():
            return network(grid)[0][:, inside].numpy()

    return predict


def prepared_form(network: Any, mask: Any) -> Callable[[Any], Any]:
    from bids_dtg.contrasts.network.prepared import prepare

    return prepare(network, mask).predict


FORMS = {"eager": eager_form, "prepared": prepared_form}


def measure(form: str, repeats: int, threads: int, count: bool) -> dict[str, float]:
    import numpy as np
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from bids_dtg.contrasts.network.threads import Workers
    from bids_dtg.contrasts.network.unet import AttentionUNet

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network, mask = AttentionUNet(ROIS, CONTRASTS).eval(), grey_matter()
    connectome = np.random.default_rng(0).uniform(-1, 1, (ROIS, mask.sum())).astype(np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    predict = FORMS[form](network, mask)
    times = [time.perf_counter() - start]
    for _ in range(repeats + 1):
        start = time.perf_counter()
        maps = predict(connectome)
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {
        "prepare_s": times[0],
        "first_s": times[1],
        "warm_s": statistics.median(times[2:]),
        "peak_mb": peak / 1024,
        "before_mb": before / 1024,
        "mean_abs": float(np.abs(maps).mean()),
    }
    if count:
        # The counter sees only the calling thread.
        Workers.each = lambda _, prepare, items: [*map(prepare(), items)]  # type: ignore
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            predict(connectome)
        found["gflop"] = counter.get_total_flops() / 1e9
    return found


def child(form: str, options: argparse.Namespace, count: bool) -> dict[str, float]:
    command = [sys.executable, __file__, "--form", form]
    command += ["--repeats", str(options.repeats), "--threads", str(options.threads)]
    command += ["--count"] if count else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def report(rounds: list[dict[str, dict[str, float]]]) -> None:
    real = all(path.exists() for path in MASKS)
    print("mask:", "grey matter" if real else "an ellipsoid shell (no DTG_SHARED)")
    for form in FORMS:
        runs = [found[form] for found in rounds]
        middle = {
            name: statistics.median(r[name] for r in runs) for name in runs[0] if name in runs[-1]
        }
        print(
            f"{form:9} warm {middle['warm_s']:.2f} s, first {middle['first_s']:.2f} s, "
            f"prepare {middle['prepare_s']:.2f} s, peak {middle['peak_mb']:.0f} MB "
            f"({middle['before_mb']:.0f} MB before), {runs[0]['gflop']:.0f} GFLOP, "
            f"mean |map| {middle['mean_abs']:.6f}"
        )
    for name in ("warm_s", "first_s"):
        ratios = [found["eager"][name] / found["prepared"][name] for found in rounds]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"eager / prepared, {name}: {statistics.median(ratios):.2f} ({spread})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--form", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("--count", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.form:
        print(json.dumps(measure(options.form, options.repeats, options.threads, options.count)))
        return
    report(
        [
            {form: child(form, options, count=number == 0) for form in FORMS}
            for number in range(options.rounds)
        ]
    )


if __name__ == "__main__":
    main()
