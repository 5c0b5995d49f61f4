"""One training step of the published twin at its published size: time and memory.

A connectome of 99,235 edges; two hidden layers of 200 units that make the 173,623 weights of a
network with 400 units and 23 outputs (published: 3 buttons and 20 regions of BOLD; here all are
buttons); 50 segments of 262 steps, one a person.
The step is all of it: forward, loss, gradient, its norm clipped, Adam. Weights, connectomes and
targets are random (seeded). Its memory is the most that the process has held, Python and PyTorch
included. The first step prepares kernels and Adam's moments, and is left out of the times; on a
GPU each step waits for the device. Usage:

    python studies/twin_step.py [--device cpu cuda] [--threads 1] [--steps 5] [--batch 50]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

EDGES, INPUTS, UNITS, HIDDEN, OUTPUTS, STEPS = 99_235, 9, 400, 200, 23, 262
MOST_MEGABYTES = 3 * 1024


def training_step(device: str, batch: int) -> Any:
    """Return a function that does a step and returns its loss; print the numbers of parameters."""
    import torch

    from bids_dtg.twin.network.hypernetwork import HyperNetwork
    from bids_dtg.twin.network.main import Sizes, perform
    from bids_dtg.twin.network.objective import Targets, action_losses
    from bids_dtg.twin.recipe import find_recipe

    torch.manual_seed(0)
    recipe = find_recipe("published", "published")
    sizes = Sizes(INPUTS, UNITS, OUTPUTS)
    network = HyperNetwork(EDGES, sizes, hidden=HIDDEN, dropout=recipe.dropout).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.hyper_rate)
    connectomes = (0.25 * torch.randn(batch, EDGES)).to(device)
    shape = (batch, 1, STEPS)
    data = Targets(
        inputs=(torch.rand(*shape, INPUTS) < 0.3).float(),
        action=(torch.rand(*shape, OUTPUTS) < 0.3).float(),
        scored=torch.ones(shape, dtype=torch.bool),
    ).to(device)
    print(
        f"parameters: {sum(p.numel() for p in network.parameters()):,} of the hypernetwork, "
        f"{sizes.weights:,} of a main network"
    )

    def step() -> float:
        optimiser.zero_grad()
        outputs = perform(network(connectomes), data.inputs)
        loss = recipe.action_weight * action_losses(outputs, data).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_norm)
        optimiser.step()
        return float(loss.detach())  # waits for the device

    return step


def measure(device: str, threads: int, steps: int, batch: int) -> None:
    import torch

    torch.set_num_threads(threads)
    libraries = peak_megabytes()
    step = training_step(device, batch)
    losses, wall, processor = [step()], [], []
    for _ in range(steps):
        start, busy = time.perf_counter(), time.process_time()
        losses.append(step())
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
    where = torch.cuda.get_device_name() if device == "cuda" else f"cpu, {threads} threads"
    print(f"{where}: {spread(wall)} s a step, {spread(processor)} CPU s; {steps} steps")
    print(f"loss {losses[0]:.4f}, after {steps} steps {losses[-1]:.4f}")
    peak = peak_megabytes()
    print(f"peak memory {peak:,.0f} MiB, of which libraries {libraries:,.0f} MiB")
    if device == "cuda":
        print(f"peak memory of the GPU {torch.cuda.max_memory_allocated() / 2**20:,.0f} MiB")
    elif peak > MOST_MEGABYTES:
        raise SystemExit(f"the step took {peak:,.0f} MiB, expected at most {MOST_MEGABYTES:,}")


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", nargs="+", default=["cpu"], choices=["cpu", "cuda"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch", type=int, default=50, help="people, with a segment each")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        measure(options.device[0], options.threads[0], options.steps, options.batch)
        return
    for device in options.device:
        for threads in options.threads if device == "cpu" else [1]:
            words = f"--child --device {device} --threads {threads} --steps {options.steps}"
            command = [sys.executable, __file__, *words.split(), "--batch", str(options.batch)]
            own = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
            subprocess.run(command, check=True, env={**os.environ, **own})


if __name__ == "__main__":
    main()
