"""Compare a forward pass of the eager and the prepared network, at the published size and grid.

Each variant runs in a separate process, so that its peak memory can be measured. The variants take
turns, and ratios compare successive runs. Weights are random (seeded). Usage:

    python benchmarks/forward.py [--rounds 3] [--repeats 3] [--threads 2] [--record]
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

from history import record

ROIS, CONTRASTS, SHAPE = 50, 47, (76, 93, 78)
MNI = Path(os.environ.get("DTG_SHARED", "../shared")) / "data" / "mni"
MASKS = [
    MNI / f"MNI_2mm_{part}_mask_crop.nii.gz" for part in ("cortical", "subcortical")
]


def grey_matter() -> Any:
    """Return the real mask or, if it is missing, an ellipsoid shell of similar size."""
    import numpy as np

    if all(path.exists() for path in MASKS):
        import nibabel as nib

        return np.any(
            [np.asanyarray(nib.load(path).dataobj) > 0 for path in MASKS], axis=0
        )
    axes = (np.linspace(-1, 1, n) for n in SHAPE)
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    return (radius > 0.66) & (radius < 0.94)


def random_parameters() -> Any:
    """Return parameters like PyTorch's initial ones: uniform, scaled by a layer's fan-in."""
    import numpy as np

    from bids_dtg.contrasts.network.parameters import Parameters, Sizes

    rng, arrays = np.random.default_rng(0), {}
    for name, shape in Sizes(ROIS, CONTRASTS, 64, 1).shapes().items():
        if len(shape) == 5:
            added = np.prod(shape[1:])
            arrays[name] = rng.uniform(-1, 1, shape).astype(np.float32) * added**-0.5
        else:
            is_one = name.endswith(("conv.1.weight", "running_var"))
            kind = np.int64 if name.endswith("tracked") else np.float32
            arrays[name] = np.full(shape, int(is_one), kind)
    return Parameters.from_arrays(arrays)


def mask_name() -> str:
    real = all(path.exists() for path in MASKS)
    return "grey matter" if real else "an ellipsoid shell (no DTG_SHARED)"


def eager_form(parameters: Any, mask: Any, threads: int) -> Callable[[Any], Any]:
    import torch

    from bids_dtg.contrasts.network.unet import AttentionUNet

    torch.set_num_threads(threads)
    network, inside = AttentionUNet.from_parameters(parameters), torch.from_numpy(mask)

    def predict(connectome: Any) -> Any:
        grid = torch.zeros(1, ROIS, *mask.shape)
        grid[0, :, inside] = torch.from_numpy(connectome)
        with torch.inference_mode():
            return network(grid)[0][:, inside].numpy()

    return predict


def prepared_form(parameters: Any, mask: Any, threads: int) -> Callable[[Any], Any]:
    from bids_dtg.contrasts.network.prepared import prepare

    return prepare(parameters, mask, threads=threads).predict


FORMS = {"eager": eager_form, "prepared": prepared_form}


def eager_products(parameters: Any, mask: Any) -> int:
    """Return the number of multiplications and additions in the eager form's products."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from bids_dtg.contrasts.network.unet import AttentionUNet

    network = AttentionUNet.from_parameters(parameters)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, ROIS, *mask.shape))
    return int(counter.get_total_flops())


def prepared_products(parameters: Any, mask: Any) -> int:
    """Return the same number for the prepared form, whose transforms only add."""
    from bids_dtg.contrasts.network.blocks_plan import BlockPlan

    plan = BlockPlan(parameters, mask, threads=1)
    total = sum(blocks.count * conv.weight.size for conv, blocks in plan.down)
    for up, region in zip(plan.up, plan.regions, strict=True):
        gate = up.gate.gating_weight.size + up.gate.skip_weight.size + up.gate.psi.size
        total += sum(slab.blocks.count for slab in region.slabs) * up.conv.weight.size
        taps = sum(weight.size for _, runs in up.upscale.terms for _, weight in runs)
        total += region.upscale_blocks.count * taps
        total += len(region.skip_reads) * gate
    return 2 * int(total + mask.sum() * plan.head.size)


PRODUCTS = {"eager": eager_products, "prepared": prepared_products}


def measure(form: str, repeats: int, threads: int, count: bool) -> dict[str, float]:
    import numpy as np

    parameters, mask = random_parameters(), grey_matter()
    connectome = (
        np.random.default_rng(0).uniform(-1, 1, (ROIS, mask.sum())).astype(np.float32)
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    predict = FORMS[form](parameters, mask, threads)
    prepared = time.process_time() - start
    walls, processors = [], []
    for _ in range(repeats + 1):
        start, wall = time.process_time(), time.perf_counter()
        maps = predict(connectome)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = {
        "prepare_cpu_s": prepared,
        "first_s": walls[0],
        "warm_s": statistics.median(walls[1:]),
        "warm_cpu_s": statistics.median(processors[1:]),
        "peak_mb": peak / 1024,
        "before_mb": before / 1024,
        "mean_abs": float(np.abs(maps).mean()),
    }
    if count:
        results["gflop"] = PRODUCTS[form](parameters, mask) / 1e9
    return results


def child(form: str, options: argparse.Namespace, count: bool) -> dict[str, float]:
    command = [sys.executable, __file__, "--form", form]
    command += ["--repeats", str(options.repeats), "--threads", str(options.threads)]
    command += ["--count"] if count else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    results: dict[str, float] = json.loads(done.stdout)
    return results


def report(rounds: list[dict[str, dict[str, float]]]) -> dict[str, float]:
    """Print medians and ratios; return the results to record."""
    print("mask:", mask_name())
    for form in FORMS:
        runs = [results[form] for results in rounds]
        medians = {
            name: statistics.median(r[name] for r in runs)
            for name in runs[0]
            if name in runs[-1]
        }
        print(
            f"{form:9} warm {medians['warm_s']:.2f} s ({medians['warm_cpu_s']:.2f} CPU-s), "
            f"first {medians['first_s']:.2f} s, prepare {medians['prepare_cpu_s']:.2f} CPU-s, "
            f"peak {medians['peak_mb']:.0f} MB "
            f"({medians['before_mb']:.0f} MB before), {runs[0]['gflop']:.0f} GFLOP, "
            f"mean |map| {medians['mean_abs']:.6f}"
        )
    to_record = {
        f"prepared: {name}": statistics.median(
            results["prepared"][name] for results in rounds
        )
        for name in ("warm_cpu_s", "prepare_cpu_s", "peak_mb")
    }
    for name in ("warm_s", "warm_cpu_s", "first_s"):
        ratios = [
            results["eager"][name] / results["prepared"][name] for results in rounds
        ]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        ratio = statistics.median(ratios)
        print(f"eager / prepared, {name}: {ratio:.2f} ({spread})")
        to_record[f"eager / prepared: {name.removesuffix('_s')}"] = ratio
    return to_record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--record", action="store_true", help="add the results to history.tsv"
    )
    parser.add_argument("--form", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("--count", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.form:
        results = measure(options.form, options.repeats, options.threads, options.count)
        print(json.dumps(results))
        return
    figures = report(
        [
            {form: child(form, options, count=number == 0) for form in FORMS}
            for number in range(options.rounds)
        ]
    )
    if options.record:
        record(
            f"forward, {options.threads} threads, {mask_name().partition(' (')[0]}",
            figures,
        )


if __name__ == "__main__":
    main()
