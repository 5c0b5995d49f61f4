"""Attacks on files of arrays, and on models that are made of them and know their people."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import numpy as np
import tiny_networks
from array_people import arguments, write
from attacks.cases.case import case, rows
from attacks.fixtures import LINEAR, NETWORK
from attacks.scene import Scene

SECONDS = 12


def analyse(scene: Scene, analysis: str, *more: str, file: str = "all.npz") -> None:
    """Have an analysis run on a file of arrays of the scene."""
    scene.level = "group"
    scene.arguments = arguments(scene.place, analysis, *more, "--omp-nthreads", 1, file=file)


def own_model(scene: Scene) -> Path:
    return scene.out / "group" / "model-own"


def content(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays)


def trained(scene: Scene) -> None:
    """Have the call made that will be made again: a model knows its data by their paths."""
    from bids_dtg.cli.run import main

    with contextlib.redirect_stderr(io.StringIO()):
        assert main(scene.words()) == 0
    scene.kept = [scene.out / "group" / "model-new"]


def trained_on_arrays(scene: Scene) -> None:
    analyse(scene, "train", *LINEAR, "--model-name", "new")
    trained(scene)


def changed(scene: Scene, **arrays: object) -> None:
    """Give the people's file other arrays."""
    path = scene.place / "all.npz"
    write(path, **{**content(path), **arrays})


# Data that were changed after a model was made of them: no table of another model, no training.


@case(2, fixture="networks", healthy=False, says="REST1.npz has changed")
def series_changed_after_training(scene: Scene) -> None:
    network(scene, "train", *NETWORK, "--model-name", "new")
    trained(scene)
    path = scene.place / "networks" / "REST1.npz"
    arrays = content(path)
    np.savez(path, **{**arrays, "bold": arrays["bold"][:, :, ::-1]})


@case(0, fixture="arrays", healthy=False, seconds=SECONDS)
def data_copied_after_training(scene: Scene) -> None:
    trained_on_arrays(scene)
    os.utime(scene.place / "all.npz")
    scene.kept = [scene.out / "group" / "model-new" / "bundle"]


def network(scene: Scene, analysis: str, *more: str) -> None:
    scene.level = "group"
    scene.arguments = tiny_networks.arguments(
        scene.place / "networks", scene.out, analysis, *more, "--no-reports"
    )


# The people whom a model was trained on, under other names.


@case(2, fixture="arrays", healthy=False, says="own was trained on everybody", seconds=SECONDS)
def training_people_renamed(scene: Scene) -> None:
    changed(scene, people=np.array([f"x{number}" for number in range(12)]))
    analyse(scene, "evaluate", "--model", str(own_model(scene) / "bundle"), "--data-set", "other")


# Arrays that run code, fill the memory, or hold what is none of what they should.


def arrays_of(scene: Scene, made) -> None:
    analyse(scene, "train", *LINEAR, "--model-name", "new", file=made(scene))


def zeros(scene: Scene) -> str:
    """Write 2 GiB a person as a file of a few kilobytes."""
    import h5py

    with h5py.File(scene.place / "zeros.h5", "w") as file:
        for key, values in content(scene.place / "all.npz").items():
            text = values.dtype.kind == "U"
            if key != "rest":
                file[key] = np.asarray(values, h5py.string_dtype()) if text else values
        shape, chunks = (12, 30, 2**24), (1, 30, 2**12)
        file.create_dataset("rest", shape, "f4", chunks=chunks, compression="gzip")
    return "zeros.h5"


def other(**arrays: object):
    def made(scene: Scene) -> str:
        changed(scene, **arrays)
        return "all.npz"

    return made


LATIN = np.array([f"a{number}".encode() for number in range(11)] + [b"\xe9"])
for kind, table, says in (
    ("hdf5", {"of-zeros": zeros}, "it can hold no measured values"),
    ("npz", {"people-in-latin-1": other(people=LATIN)}, "all.npz cannot be read"),
    (
        "npz",
        {
            f"session-{name}": other(session=np.array(session))
            for name, session in {
                "with-newline": "a\nb",
                "html": "<script>alert(1)</script>",
                "escape": "\x1b[31m",
                "path": "../../x",
            }.items()
        },
        "session names",
    ),
    (
        "npz",
        {"tr-59": other(tr_seconds=np.array(59.0)), "tr-true": other(tr_seconds=np.array(True))},
        "tr_seconds is",
    ),
):
    rows(kind, arrays_of, table, 2, fixture="arrays", healthy=False, says=says)


@case(2, fixture="arrays", healthy=False, says="model-name")
def a_model_name_of_255_letters(scene: Scene) -> None:
    analyse(scene, "train", *LINEAR, "--model-name", "a" * 255)


@case(2, fixture="networks", healthy=False, says="session names")
def a_session_of_series_with_a_newline(scene: Scene) -> None:
    path = scene.place / "networks" / "REST2.npz"
    np.savez(path, **{**content(path), "session": "a\nb"})
    bundle = own_model(scene) / "bundle"
    network(scene, "evaluate", "--model", str(bundle))
