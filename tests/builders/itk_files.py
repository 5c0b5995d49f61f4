"""Writers of ITK's transform files, for any test that needs one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# (kind, parameters, fixed parameters)
Part = tuple[str, np.ndarray, np.ndarray]


def affine_part(matrix: np.ndarray, centre: Sequence[float] = (0, 0, 0)) -> Part:
    """Describe an affine, RAS+ mm to RAS+ mm, as ITK does: about a centre, in LPS+."""
    lps, centre = LPS @ matrix @ LPS, np.asarray(centre, float)
    translation = lps[:3, 3] - centre + lps[:3, :3] @ centre
    return (
        "AffineTransform_double_3_3",
        np.hstack([lps[:3, :3].ravel(), translation]),
        centre,
    )


def field_part(vectors: np.ndarray, affine: np.ndarray) -> Part:
    """Describe displacements (i, j, k, 3), RAS+ mm, on a lattice (node indices to RAS+ mm)."""
    lps = LPS @ affine
    spacing = np.sqrt((lps[:3, :3] ** 2).sum(axis=0))
    directions = lps[:3, :3] / spacing
    fixed = [*vectors.shape[:3], *lps[:3, 3], *spacing, *directions.ravel()]
    return (
        "DisplacementFieldTransform_double_3_3",
        stored(vectors).ravel(),
        np.array(fixed),
    )


def stored(vectors: np.ndarray) -> np.ndarray:
    """(i, j, k, 3) RAS+ -> (nodes, 3) LPS+, i fastest."""
    return (vectors * [-1, -1, 1]).transpose(2, 1, 0, 3).reshape(-1, 3)


def write_composite(
    path: Path, parts: Sequence[Part], *, typo: bool = False, composite: bool = True
) -> Path:
    """Write an .h5 file; ITK applies its last part first. `typo`: as ITK 4 spelt the names."""
    word = "Tranform" if typo else "Transform"
    text = h5py.string_dtype("ascii")
    with h5py.File(path, "w") as file:
        groups = file.create_group("TransformGroup")
        if composite:
            kind = ["CompositeTransform_double_3_3"]
            groups.create_group("0").create_dataset(
                "TransformType", data=kind, dtype=text
            )
        for number, (kind, parameters, fixed) in enumerate(parts, start=int(composite)):
            group = groups.create_group(str(number))
            group.create_dataset("TransformType", data=[kind], dtype=text)
            group.create_dataset(f"{word}Parameters", data=parameters)
            group.create_dataset(f"{word}FixedParameters", data=fixed)
    return path


def itk_text(parts: Sequence[Part], *, composite: bool = False) -> str:
    lines = ["#Insight Transform File V1.0"]
    if composite:
        lines += ["#Transform 0", "Transform: CompositeTransform_double_3_3"]
    for number, (kind, parameters, fixed) in enumerate(parts, start=int(composite)):
        lines += [f"#Transform {number}", f"Transform: {kind}"]
        lines.append("Parameters: " + " ".join(f"{x:.17g}" for x in parameters))
        lines.append("FixedParameters: " + " ".join(f"{x:.17g}" for x in fixed))
    return "\n".join(lines) + "\n"


def write_text(path: Path, parts: Sequence[Part], *, composite: bool = False) -> Path:
    path.write_text(itk_text(parts, composite=composite))
    return path
