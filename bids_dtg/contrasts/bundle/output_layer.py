"""Compares the output layers of published models.

A published script replaces the output layer of a tuned network by that of a local network. If
that was the published model, both layers are equal; if not, the tuned model's maps come from a
layer that its other layers were not trained with.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bids_dtg.contrasts.bundle.bundle import ModelBundle, load_bundle
from bids_dtg.contrasts.bundle.kinds import KINDS
from bids_dtg.errors import BundleError

_OUTPUT = "out_block.1."  # before the names of its weight and bias


def compare_with_others(bundle: ModelBundle, folders: Iterable[Path]) -> list[str]:
    """Compare a model's output layer with those of other models.

    Returns
    -------
    A line for each model that can be compared; empty if there is no other.

    Raises
    ------
    BundleError
        If the bundle's weights cannot be read.
    """
    lines = []
    for folder in folders:
        if folder.name == bundle.card.name or not folder.exists():
            continue
        try:
            other = load_bundle(folder)
            other.check_weights()
        except BundleError:
            continue  # `dtg-models verify` says what is wrong with it
        line = compare_output_layers(bundle, other)
        if line is not None:
            lines.append(line)
    return lines


def compare_output_layers(bundle: ModelBundle, other: ModelBundle) -> str | None:
    """Say whether two models have the same output layer; None if they cannot be compared.

    Raises
    ------
    BundleError
        If weights cannot be read.
    """
    are_networks = all(KINDS[model.card.kind].is_network for model in (bundle, other))
    if not are_networks or bundle.contrasts != other.contrasts:
        return None
    layers = [model.weights().below(_OUTPUT).read() for model in (bundle, other)]
    shapes = [{name: tensor.shape for name, tensor in layer.items()} for layer in layers]
    if shapes[0] != shapes[1]:
        return None
    names = f"{bundle.card.name} and {other.card.name}"
    largest = max(float(np.abs(layers[0][name] - layers[1][name]).max()) for name in layers[0])
    if largest == 0:
        return f"{names} have the same output layer"
    return (
        f"warning: the output layers of {names} differ (by up to {largest:.2g}): one of them was "
        "not tuned from the other with its output layer kept"
    )
