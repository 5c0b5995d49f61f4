"""People's networks together, against a loop over participants: performing, and training steps.

- `performs`: networks of 50 people, each with 18 segments; lowrank makes them from modulations
- `trains, group`: the gradient of lowrank's group network for what 50 people did in 18 segments;
  ours is that of the average person, whose finding is part of the time
- `trains, batch`: the gradient of a hypernetwork for the published batch, 50 people with a segment
  each, and for the recipe's at 64 units, 10 people with 6

Three loops over participants do the same, and their results are compared with ours: `steps`, the
plain one, calls tanh and products of matrices step by step and leaves the gradient to PyTorch;
`rnn` calls PyTorch's own recurrent layer; `recur` calls our recurrence with one person. The
hypernetwork makes the weights of all people at once on all sides. Sides take turns in one process,
and ratios compare neighbours; weights and responses are random (seeded). Usage:

    python benchmarks/twin_batch.py [--threads 1 2] [--rounds 5] [--only "lowrank performs" …]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from bids_dtg.twin.network.hypernetwork import HyperNetwork
from bids_dtg.twin.network.main import MainWeights, Sizes, perform
from bids_dtg.twin.network.modulated import ModulatedNetwork
from bids_dtg.twin.network.objective import Targets, action_losses

STEPS, EDGES, TOLERANCE = 262, 4950, 1e-4
Performer = Callable[[MainWeights, Tensor], Tensor]


def people_of(weights: MainWeights) -> Iterator[MainWeights]:
    """Return networks of one person each."""
    parts = (weights.input, weights.recurrent, weights.bias, weights.output, weights.output_bias)
    for one in zip(*(part.split(1) for part in parts), strict=True):
        yield MainWeights(*one)


def by_steps(weights: MainWeights, inputs: Tensor) -> Tensor:
    """Return outputs of one person, step by step."""
    w, x = weights, inputs[0]
    state, states = x.new_zeros(len(x), w.bias.shape[1]), []
    for step in range(x.shape[1]):
        drive = x[:, step] @ w.input[0].T + w.bias[0]
        state = torch.tanh(drive + state @ w.recurrent[0].T)
        states.append(state)
    return (torch.stack(states, 1) @ w.output[0].T + w.output_bias[0])[None]


def by_rnn(weights: MainWeights, inputs: Tensor) -> Tensor:
    """Return outputs of one person by PyTorch's recurrent layer."""
    units = weights.bias.shape[1]
    layer = nn.RNN(inputs.shape[-1], units, batch_first=True, device="meta")
    own = {
        "weight_ih_l0": weights.input[0],
        "weight_hh_l0": weights.recurrent[0],
        "bias_ih_l0": weights.bias[0],
        "bias_hh_l0": torch.zeros_like(weights.bias[0]),
    }
    states = torch.func.functional_call(layer, own, (inputs[0],))[0]
    return (states @ weights.output[0].T + weights.output_bias[0])[None]


LOOPS: dict[str, Performer] = {"steps": by_steps, "rnn": by_rnn, "recur": perform}


def targets(sizes: Sizes, people: int, segments: int) -> Targets:
    """Return what people did who all saw the same."""
    shape = (people, segments, STEPS)
    return Targets(
        inputs=(torch.rand(1, *shape[1:], sizes.inputs) < 0.3).float(),
        action=(torch.rand(*shape, sizes.buttons) < 0.3).float(),
        scored=torch.ones(shape, dtype=torch.bool),
    )


def gradient(network: nn.Module) -> Tensor:
    """Return the gradient of all weights, and clear it."""
    found = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    return torch.cat(found)


def performing(make: Callable[[], MainWeights], inputs: Tensor) -> dict[str, Callable[[], Tensor]]:
    def together() -> Tensor:
        with torch.no_grad():
            return perform(make(), inputs)

    def loop(one: Performer) -> Tensor:
        with torch.no_grad():
            return torch.cat([one(weights, inputs) for weights in people_of(make())])

    return {"ours": together} | {name: lambda one=one: loop(one) for name, one in LOOPS.items()}


def group_step(network: ModulatedNetwork, data: Targets) -> dict[str, Callable[[], Tensor]]:
    people = len(data.action)
    everything = torch.arange(data.action.shape[1])

    def together() -> Tensor:
        average = data.average()
        outputs = perform(network.group_weights(), average.inputs)
        action_losses(outputs, average).mean().backward()
        return gradient(network)

    def loop(one: Performer) -> Tensor:
        for person in range(people):
            own = data.part(torch.tensor([person]), everything)
            outputs = one(network.group_weights(), own.inputs)
            (action_losses(outputs, own).mean() / people).backward()
        return gradient(network)

    return {"ours": together} | {name: lambda one=one: loop(one) for name, one in LOOPS.items()}


def hyper_step(network: HyperNetwork, data: Targets) -> dict[str, Callable[[], Tensor]]:
    people = len(data.action)
    connectomes = 0.25 * torch.randn(people, EDGES)

    def step(forward: Performer) -> Tensor:
        outputs = forward(network(connectomes), data.inputs)
        action_losses(outputs, data).mean().backward()
        return gradient(network)

    def loop(one: Performer) -> Performer:
        return lambda weights, inputs: torch.cat([one(own, inputs) for own in people_of(weights)])

    return {"ours": lambda: step(perform)} | {
        name: lambda one=one: step(loop(one)) for name, one in LOOPS.items()
    }


def lowrank(work: str) -> dict[str, Callable[[], Tensor]]:
    sizes = Sizes(inputs=9, units=64, buttons=9)
    network = ModulatedNetwork(sizes, rank=8)
    data = targets(sizes, people=50, segments=18)
    if work == "trains":
        return group_step(network, data)
    modulations = 0.1 * torch.randn(50, network.modulations)
    return performing(lambda: network.weights(modulations), data.inputs)


def published(work: str, units: int, people: int, segments: int) -> dict[str, Callable[[], Tensor]]:
    sizes = Sizes(inputs=9, units=units, buttons=9 if units == 64 else 23)
    network = HyperNetwork(EDGES, sizes, hidden=64 if units == 64 else 200, dropout=0.0)
    data = targets(sizes, people, segments)
    if work == "trains":
        return hyper_step(network, data)
    connectomes = 0.25 * torch.randn(people, EDGES)
    return performing(lambda: network(connectomes), data.inputs)


WORK: dict[str, Callable[[], dict[str, Callable[[], Tensor]]]] = {
    "lowrank performs": lambda: lowrank("performs"),
    "lowrank trains, group": lambda: lowrank("trains"),
    "published 64 performs": lambda: published("performs", 64, 50, 18),
    "published 64 trains, batch of 50 x 1": lambda: published("trains", 64, 50, 1),
    "published 64 trains, batch of 10 x 6": lambda: published("trains", 64, 10, 6),
    "published 400 trains, batch of 50 x 1": lambda: published("trains", 400, 50, 1),
}


def timed(work: Callable[[], Tensor]) -> tuple[float, float, Tensor]:
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - wall, time.process_time() - processor, found


def compare(name: str, rounds: int, threads: int) -> None:
    """Run the sides in turn; print seconds and ratios of neighbours."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    sides = WORK[name]()
    with nullcontext() if "trains" in name else torch.no_grad():
        expected = sides["ours"]()
    print(f"{name}; threads: {threads}", flush=True)
    for other in LOOPS:
        pairs = [(timed(sides["ours"]), timed(sides[other])) for _ in range(rounds)]
        worst = max(float((their[2] - expected).abs().max()) for _, their in pairs)
        worst /= float(expected.abs().max())
        if worst > TOLERANCE:
            raise SystemExit(f"{name}: {other} differs by {worst:.1e} of the largest value")
        for clock, what in enumerate(("wall", "CPU")):
            ours, theirs = ([pair[side][clock] for pair in pairs] for side in (0, 1))
            ratios = [their / own for own, their in zip(ours, theirs, strict=True)]
            print(
                f"  {other:5} / ours, {what:4}: {spread(ratios, 1)} times; ours "
                f"{spread(ours)} s, {other} {spread(theirs)} s; differ by {worst:.0e}",
                flush=True,
            )


def spread(values: list[float], digits: int = 3) -> str:
    return (
        f"{statistics.median(values):.{digits}f} "
        f"({min(values):.{digits}f} to {max(values):.{digits}f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--only", nargs="+", choices=WORK, default=list(WORK))
    options: Any = parser.parse_args()
    for threads in options.threads:
        for name in options.only:
            compare(name, options.rounds, threads)


if __name__ == "__main__":
    main()
