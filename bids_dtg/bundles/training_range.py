"""A bundle's `training_range.safetensors`: statistics of its training connectomes; 2 MB."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.tensors import from_steps, read_tensors, to_steps
from bids_dtg.connectome.range.training import FIGURES, Basis, TrainingRange
from bids_dtg.errors import BundleError

TRAINING_RANGE_FILE = "training_range.safetensors"
_OF_FIGURES = ("centre", "low", "high")


def encode_training_range(training: TrainingRange) -> bytes:
    """Make the file's bytes; the same for the same input."""
    basis = training.basis
    mean, mean_scale = to_steps(basis.mean)
    components, components_scale = to_steps(basis.components)
    tensors = {
        "mean": mean,
        "mean_scale": mean_scale,
        "components": components,
        "components_scale": components_scale,
        "variances": basis.variances,
        "covariance": training.covariance,
        **{name: getattr(training, name) for name in _OF_FIGURES},
    }
    return safetensors.numpy.save({name: np.ascontiguousarray(t) for name, t in tensors.items()})


def training_range_facts(training: TrainingRange) -> dict[str, Any]:
    """Return the field `reference` of a card."""
    return {
        "participants": training.basis.participants,
        "held_out": training.participants,
        "figures": list(FIGURES),
        "rois": training.basis.mean.shape[0],
        "cells": training.basis.mean.shape[1],
        "components": len(training.basis.components),
        "block": training.block,
        "unusual": round(training.unusual, 4),
        "outside": round(training.outside, 4),
    }


def read_training_range(folder: Path, facts: Mapping[str, Any]) -> TrainingRange:
    """Read the statistics that a card's field `reference` tells of.

    Raises
    ------
    BundleError
        If the field or the file is not what it should be.
    """
    path = folder / TRAINING_RANGE_FILE
    fields = JsonFields(facts, str(folder / "model.json"), "reference.")
    rois, cells, n = (fields.whole(name) for name in ("rois", "cells", "components"))
    participants, held_out = fields.whole("participants"), fields.whole("held_out")
    block, figures = fields.whole("block"), fields.value("figures")
    unusual, outside = fields.positive("unusual"), fields.positive("outside")
    fields.refuse_unknown()
    if figures != list(FIGURES):
        raise fields.wrong("figures", figures, ", ".join(FIGURES))
    size = len(FIGURES)
    tensors = read_tensors(
        path,
        {
            "mean": ("int8", (rois, cells)),
            "mean_scale": ("float32", (rois,)),
            "components": ("int8", (n, rois, cells)),
            "components_scale": ("float32", (n,)),
            "variances": ("float32", (n,)),
            "covariance": ("float64", (size, size)),
            **dict.fromkeys(_OF_FIGURES, ("float64", (size,))),
        },
    )
    covariance = tensors["covariance"]
    definite = np.linalg.eigvalsh((covariance + covariance.T) / 2).min() > 0
    if not definite or (tensors["variances"] <= 0).any():
        raise BundleError(f"{path} has variances that are not above 0")
    basis = Basis(
        from_steps(tensors["mean"], tensors["mean_scale"]),
        from_steps(tensors["components"], tensors["components_scale"]),
        tensors["variances"],
        participants,
    )
    of_figures = {name: tensors[name] for name in _OF_FIGURES}
    return TrainingRange(
        basis,
        block,
        held_out,
        covariance=covariance,
        unusual=unusual,
        outside=outside,
        **of_figures,
    )
