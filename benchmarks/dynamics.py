"""Training steps and simulations of the network model, against the plain ways to do them.

A training step: 64 series of 1,200 frames, 20 people, 3 states, 3 regional parameters; ours against
`plain_dynamics.py`, both with the published code's recipe, 8 samples (same weights, same noise, and
the same loss); and a step of the default recipe (8 people, 100 frames; every second step simulates
sessions, too). Each side runs in a process of its own, so that its peak memory is its own; they
take turns. Simulations: 50 of a person, 68 regions, 1,800 frames: together, one at a time by the
same code, and one at a time by a call of the model's modules a frame; and the bound: their noise
and the products of a frame, with nothing else. Weights and series are random (seeded). One thread;
seconds are of the processor. Usage:

    python benchmarks/dynamics.py [--rounds 5] [--only step simulations]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

PEOPLE, REGIONS, FRAMES, ITEMS = 20, 68, 1200, 64
SIMULATIONS = 50


def batch(recipe: Any) -> tuple[Any, Any, Any]:
    """Return a model, items and noise that are the same in each process."""
    import torch

    from bids_dtg.dynamics.model import Items, NetworkModel
    from bids_dtg.dynamics.objective import Noise

    torch.manual_seed(0)
    model = NetworkModel(recipe, PEOPLE, REGIONS, FRAMES)
    series, network = torch.randn(2, FRAMES, ITEMS)
    items = Items(series, network, torch.arange(ITEMS) % PEOPLE)
    return model, items, Noise.draw(model, items, recipe.samples)


def plain_step() -> Callable[[], float]:
    from plain_dynamics import plain_loss

    from bids_dtg.dynamics.recipe import RECIPES

    model, items, noise = batch(RECIPES["published-code"])
    return stepper(model, lambda: plain_loss(model, items, noise))


def our_step() -> Callable[[], float]:
    from bids_dtg.dynamics.objective import loss_of, terms_of
    from bids_dtg.dynamics.recipe import RECIPES

    model, items, noise = batch(RECIPES["published-code"])
    return stepper(model, lambda: loss_of(model, terms_of(model, items, model.infer(items), noise)))


def amortised_step() -> Callable[[], float]:
    """Return a step of the default recipe, on windows of people; every second one generates."""
    import numpy as np

    from bids_dtg.dynamics.networks import make_networks
    from bids_dtg.dynamics.recipe import find_recipe
    from bids_dtg.dynamics.session_task import SessionTask

    rng = np.random.default_rng(0)
    weights = rng.exponential(size=(PEOPLE, REGIONS, REGIONS)) ** 3
    series = rng.standard_normal((PEOPLE, REGIONS, FRAMES))
    networks = make_networks(series, weights + weights.swapaxes(1, 2), 0.72)
    trained = np.ones((PEOPLE, REGIONS), bool)
    task = SessionTask(
        networks, trained, find_recipe("amortised"), seed=0, identity={}, report=lambda line: None
    )
    task.log = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer
    of_people, numbers = next(iter(task.train_dataloader())), itertools.count()
    return stepper(task.model, lambda: task.training_step(of_people, next(numbers)))


def stepper(model: Any, loss_of_batch: Callable[[], Any]) -> Callable[[], float]:
    """Return a training step that returns its loss; the weights stay, so that losses compare."""
    from bids_dtg.dynamics.task import KerasAdam

    learning = [p for p in model.parameters() if p.requires_grad]
    optimiser = KerasAdam(learning, lr=0.0)

    def step() -> float:
        optimiser.zero_grad()
        loss = loss_of_batch()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def people() -> tuple[Any, Any, Any]:
    """Return a model, one person's network and what is inferred of it."""
    import numpy as np
    import torch

    from bids_dtg.dynamics.inference import infer
    from bids_dtg.dynamics.model import NetworkModel
    from bids_dtg.dynamics.networks import Networks, normalised
    from bids_dtg.dynamics.recipe import Recipe

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = NetworkModel(Recipe(), 1, REGIONS, FRAMES)
    hidden, out = model.transition.hidden.weight, model.transition.out.weight
    with torch.no_grad():  # some units pull to 0, the others do little: the states stay finite
        out.mul_(0.02)
        for state in range(model.recipe.states):
            for unit, sign in ((2 * state, 1.0), (2 * state + 1, -1.0)):
                hidden[unit], out[:, unit] = 0.0, 0.0
                hidden[unit, state], out[state, unit] = sign, -0.5 * sign
    networks = Networks(
        people=("01",),
        regions=tuple(map(str, range(REGIONS))),
        series=rng.standard_normal((1, REGIONS, FRAMES)).astype("f4"),
        weights=normalised(rng.exponential(size=(1, REGIONS, REGIONS)) ** 3),
        tr_seconds=0.72,
    )
    return model, networks, infer(model, networks, ("01",))


def simulations(at_once: int) -> Callable[[], float]:
    from bids_dtg.dynamics.simulation import simulate

    model, networks, inferred = people()

    def all_of_a_person() -> float:
        for seed in range(SIMULATIONS // at_once):
            found = next(simulate(model, networks, inferred, simulations=at_once, seed=seed))
        return float(abs(found[0]).mean())

    return all_of_a_person


def by_modules() -> Callable[[], float]:
    """Simulate one at a time by calls of the model's modules a frame."""
    import torch

    from bids_dtg.dynamics.simulation import draw

    model, networks, inferred = people()
    weights = torch.as_tensor(networks.weights[0])
    sd = (0.5 * model.state_log_variance).exp(), (0.5 * model.observation_log_variance).exp()

    @torch.no_grad()
    def simulate_one(seed: int) -> Any:
        drawn = draw(model, networks, inferred, 1, FRAMES * 3 // 2, seed)
        state = torch.as_tensor(drawn.first[0, 0]).float()
        region = torch.as_tensor(drawn.region[0, :1]).float()
        person = torch.as_tensor(drawn.person[0, :1]).float().expand(1, REGIONS, -1)
        external = torch.as_tensor(drawn.external[:, 0, 0]).float()
        system = torch.as_tensor(drawn.system[:, :, 0, 0]).transpose(1, 2)
        series = []
        for frame in range(len(system)):
            expected = model.observation(state)[:, 0]
            network = (weights @ expected)[None, None]
            of_all = external[frame].expand(1, 1, REGIONS)
            change = model.transition(state[None, None], region, person, network, of_all)
            state = state + change[0, 0] + sd[0] * system[frame]
            series.append(expected)
        noise = torch.as_tensor(drawn.observed[FRAMES // 2 :, 0, 0])
        return torch.stack(series)[FRAMES // 2 :] + sd[1] * noise

    def all_of_a_person() -> float:
        return float([simulate_one(seed) for seed in range(SIMULATIONS)][-1].abs().mean())

    return all_of_a_person


def bound() -> Callable[[], float]:
    """Draw as much noise by the same generator, and multiply as often, and do nothing else."""
    import numpy as np
    import torch

    model, networks, _ = people()
    frames, columns = FRAMES * 3 // 2, SIMULATIONS * REGIONS
    transition, observation = model.transition, model.observation
    # The bias is an input, too.
    first = torch.cat((transition.hidden.weight, transition.hidden.bias[:, None]), 1)
    rows, weights = torch.randn(first.shape[1], columns), torch.as_tensor(networks.weights[0])
    numbers = frames * columns * (model.recipe.states + 1)

    @torch.inference_mode()
    def all_of_a_person() -> float:
        noise = np.random.Generator(np.random.SFC64(0))
        for _ in range(SIMULATIONS):
            found = noise.standard_normal(numbers // SIMULATIONS, np.float32)
        for _ in range(frames):
            hidden = first @ rows
            seen = observation.weight @ (transition.out.weight @ hidden)
            seen.view(SIMULATIONS, REGIONS) @ weights
        return float(abs(found).mean())

    return all_of_a_person


STEPS = {
    "plain step": plain_step,
    "our step, published-code": our_step,
    "our step, default": amortised_step,
}
SIMULATED = {
    "one at a time, by modules": by_modules,
    "one at a time": lambda: simulations(1),
    "50 together": lambda: simulations(SIMULATIONS),
    "bound": bound,
}
SIDES = STEPS | SIMULATED


def measure(side: str, repeats: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    work = SIDES[side]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    value, times = work(), []  # the first call prepares kernels and memory
    for _ in range(repeats):
        start = time.process_time()
        value = work()
        times.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": times, "value": value, "peak_mb": peak, "before_mb": before}


def child(side: str, repeats: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", side, "--repeats", str(repeats)]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **threads}
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(sides: dict[str, Any], rounds: int, repeats: int) -> None:
    """Run the sides in turn; print seconds, memory, and ratios of neighbours to the last sides."""
    found = [{side: child(side, repeats) for side in sides} for _ in range(rounds)]
    for side in sides:
        seconds = [s for each in found for s in each[side]["seconds"]]
        own = found[0][side]
        print(
            f"{side:26} {spread(seconds)} CPU s, peak {own['peak_mb']:.0f} MB "
            f"({own['before_mb']:.0f} MB before), value {own['value']:.6f}"
        )
    plain, ours, *_ = values = [found[0][side]["value"] for side in sides]
    if sides is STEPS and abs(plain - ours) > 1e-5 * abs(plain):
        raise SystemExit(f"the losses of the same recipe differ: {values}")
    plain, *others = sides
    for side in others:
        for other in [plain] if sides is STEPS else [name for name in sides if name != side]:
            ratios = [
                statistics.median(each[other]["seconds"]) / statistics.median(each[side]["seconds"])
                for each in found
            ]
            memory = found[0][side]["peak_mb"] / found[0][other]["peak_mb"]
            print(f"{other} / {side}: {spread(ratios)} times the CPU; memory {memory:.2f} of it")


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=2, help="of each side, in a round")
    parser.add_argument("--only", nargs="+", choices=["step", "simulations"])
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(options.side, options.repeats)))
        return
    for name, sides in (("step", STEPS), ("simulations", SIMULATED)):
        if not options.only or name in options.only:
            report(sides, options.rounds, options.repeats)


if __name__ == "__main__":
    main()
