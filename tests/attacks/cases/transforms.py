"""Attacks on transforms between spaces: text of ITK, composites in .h5, on the way of run 01."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
from attacks.cases.case import rows
from attacks.cases.images import bomb
from attacks.scene import Scene, put
from itk_files import affine_part, field_part, itk_text, write_composite


def texts(scene: Scene) -> list[Path]:
    """List the transforms of participant 01."""
    return sorted((scene.bids / "sub-01").rglob("*_xfm.*"))


def on_text(scene: Scene, content) -> None:
    for path in texts(scene):
        content(path) if callable(content) else put(path, content)


GOOD = itk_text([affine_part(np.eye(4))])
rows(
    "text-transform",
    on_text,
    {
        "empty": "",
        "other": "hello\n",
        "binary": bytes(range(256)),
        "not-utf8": GOOD.encode() + b"\xff",
        "nul": GOOD.encode() + b"\0" * 99,
        "numbers-missing": GOOD.replace("Parameters: 1", "Parameters:", 1),
        "words": GOOD.replace("Parameters: 1", "Parameters: one", 1),
        "nan": GOOD.replace("Parameters: 1", "Parameters: nan", 1),
        "infinite": GOOD.replace("Parameters: 1", "Parameters: inf", 1),
        "1e300": GOOD.replace("Parameters: 1", "Parameters: 1e300", 1),
        "5000-digits": GOOD.replace("Parameters: 1", "Parameters: " + "1" * 5000, 1),
        "kind-unknown": GOOD.replace("AffineTransform_double_3_3", "Evil_double_3_3"),
        "kind-flat": GOOD.replace("_3_3", "_2_2"),
        "singular": GOOD.replace("Parameters: 1", "Parameters: 0", 1),
        "many": GOOD * 3000,
        "numbers-many": GOOD.replace("Parameters: 1", "Parameters: " + "1 " * 500_000, 1),
        "fifo": lambda path: (path.unlink(), os.mkfifo(path)),
        "folder": lambda path: (path.unlink(), path.mkdir()),
        "endless": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
        "link-to-itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
        "gone": Path.unlink,
    },
    1,
    fixture="native",
    healthy=True,
)


def on_composite(scene: Scene, content) -> None:
    """Put a composite in the place of the last transform."""
    path = next(p for p in texts(scene) if "to-MNI152NLin6Asym" in p.name)
    path.unlink()
    content(path.with_suffix(".h5"))


def field(shape=(6, 6, 6)):
    lattice = np.diag([40.0, 40, 40, 1])
    lattice[:3, 3] = -100
    return field_part(np.zeros((*shape, 3)), lattice)


def edited(edit):
    """Return a way to write a composite and then change it."""

    def write(path: Path) -> None:
        write_composite(path, [affine_part(np.eye(4)), field()])
        with h5py.File(path, "r+") as file:
            edit(file["TransformGroup"])

    return write


def stored(group, name: str, value: object, **facts: object) -> None:
    if name in group:
        del group[name]
    group.create_dataset(name, data=value, **facts)


def outside(path: Path) -> None:
    """Link a data set to another file."""
    write_composite(path, [affine_part(np.eye(4)), field()])
    with h5py.File(path, "r+") as file:
        group = file["TransformGroup"]["1"]
        del group["TransformParameters"]
        group["TransformParameters"] = h5py.ExternalLink("/etc/passwd", "/x")


def raw(content: bytes):
    return lambda path: put(path, content)


def cut(share: float):
    def write(path: Path) -> None:
        write_composite(path, [affine_part(np.eye(4)), field()])
        put(path, path.read_bytes()[: int(path.stat().st_size * share)])

    return write


rows(
    "composite",
    on_composite,
    {
        "empty": raw(b""),
        "text": raw(b"not hdf5" * 99),
        "signature-only": raw(b"\x89HDF\r\n\x1a\n"),
        "bomb": raw(bomb(64)),
        "cut-in-the-middle": cut(0.5),
        "cut-at-the-end": cut(0.95),
        "no-group": edited(lambda group: group.clear()),
        "kind-unknown": edited(lambda g: stored(g["1"], "TransformType", [b"Evil"])),
        "kind-number": edited(lambda g: stored(g["1"], "TransformType", [5])),
        "kind-not-utf8": edited(lambda g: stored(g["1"], "TransformType", [b"\xff\xfe"])),
        "numbers-few": edited(lambda g: stored(g["1"], "TransformParameters", [1.0, 2.0])),
        "numbers-nan": edited(lambda g: stored(g["1"], "TransformParameters", [np.nan] * 12)),
        "numbers-text": edited(lambda g: stored(g["1"], "TransformParameters", [b"x"] * 12)),
        "field-few": edited(lambda g: stored(g["2"], "TransformParameters", [0.0] * 9)),
        "field-nan": edited(lambda g: stored(g["2"], "TransformParameters", [np.nan] * 648)),
        "field-fixed-few": edited(lambda g: stored(g["2"], "TransformFixedParameters", [6.0])),
        "field-negative": edited(
            lambda g: stored(
                g["2"], "TransformFixedParameters", [-6.0] * 3 + [1.0] * 6 + [*np.eye(3).ravel()]
            )
        ),
        "field-1e18": edited(
            lambda g: stored(
                g["2"], "TransformFixedParameters", [1e18] * 3 + [1.0] * 6 + [*np.eye(3).ravel()]
            )
        ),
        "field-fixed-nan": edited(
            lambda g: stored(g["2"], "TransformFixedParameters", [np.nan] * 18)
        ),
        "external-link": outside,
        "loop": edited(lambda g: g.__setitem__("3", h5py.SoftLink("/TransformGroup"))),
        "fifo": os.mkfifo,
        "folder": Path.mkdir,
        "endless": lambda path: path.symlink_to("/dev/zero"),
    },
    (0, 1),
    fixture="native",
    healthy=True,
)
