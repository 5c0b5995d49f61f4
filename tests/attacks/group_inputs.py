"""Kinds of inputs of the group level: arrays, events, tables of people, matrices of regions."""

from __future__ import annotations

import contextlib
import io
import json
import random
import zipfile
from pathlib import Path

import numpy as np
import tiny_networks
import tiny_twins
from array_people import write
from attacks import mutators
from attacks.cases.arrays import analyse, content, network, own_model
from attacks.fixtures import LINEAR, NETWORK, OF_AGE
from attacks.kind import Kind, plan, program
from attacks.scene import Scene, put

_TYPES = ("?", "i1", "u8", ">i4", "f2", "f8", ">f4", "c8", "S3", "U5", "M8[s]", "m8[D]", "O")
_STRANGE = (float("nan"), float("inf"), -1e38, 0.0, 1e-45, -1.0, 2.0**31)


# Arrays.


def some_array(rng: random.Random, values: np.ndarray) -> np.ndarray:
    """Change the values, the type or the shape of an array; leave one without values."""
    if not values.size:
        return values
    how = rng.randrange(8)
    if how == 0:
        kind = rng.choice(_TYPES)
        try:
            return values.astype(kind)
        except (TypeError, ValueError):
            return np.zeros(values.shape, kind)
    if how == 1:
        flat = values.ravel()
        return rng.choice((values[..., None], values[None], values.T, flat, flat[:1], flat[:0]))
    if how == 2:
        return np.array(rng.choice((*_STRANGE, *mutators.INTEGERS, "x", b"\xff", True)))
    if how == 3:
        return np.concatenate([values, values]) if values.ndim else values
    if values.dtype.kind == "U" and values.size < 100:
        values, cells = values.astype("U3000"), rng.choice((1, 1, 2, values.size))
        for _ in range(cells):
            values.flat[rng.randrange(max(1, values.size))] = mutators.word(rng)
        return values
    values = np.array(values, copy=True)
    person = rng.randrange(max(1, len(values))) if values.ndim else ...
    where = (person, ..., np.unravel_index(rng.randrange(values.size or 1), values.shape or (1,)))
    # A type may not be able to hold it.
    unable = contextlib.suppress(TypeError, ValueError, IndexError, OverflowError)
    with unable, np.errstate(over="ignore", invalid="ignore"):
        values[rng.choice(where)] = rng.choice(_STRANGE)
    return values


def some_arrays(rng: random.Random, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Change some of the arrays of a file, or which there are."""
    arrays = dict(arrays)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        key = rng.choice(sorted(arrays))
        how = rng.randrange(10)
        if how == 0 and len(arrays) > 1:
            del arrays[key]
        elif how == 1:
            arrays[rng.choice((*mutators.WORDS[1:14], "families"))] = arrays[key]
        elif how == 2:
            named = ("session", "families", "connectomes", "edges", "structural")
            arrays[rng.choice(named)] = some_array(rng, arrays[key])
        else:
            arrays[key] = some_array(rng, arrays[key])
    return arrays


def some_npz(rng: random.Random, path: Path) -> None:
    """Change arrays of an npz file, bytes of a member, or of the file."""
    how = rng.random()
    if how < 0.6:
        arrays = some_arrays(rng, content(path))
        path.unlink()
        with path.open("wb") as file:  # a name without an ending in the archive is not changed
            np.savez(file, **{key: value for key, value in arrays.items() if key != "file"})
        return
    if how < 0.8:
        made = io.BytesIO()
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
            names = old.namelist()
            chosen = rng.choice(names)
            for name in names:
                member = old.read(name)
                if name == chosen:  # its header, mostly
                    head = 128 if rng.random() < 0.7 else len(member)
                    member = mutators.some_bytes(rng, member[:head]) + member[head:]
                new.writestr(name, member, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
        put(path, made.getvalue())
        return
    put(path, _ends_changed(rng, path.read_bytes()))


def _ends_changed(rng: random.Random, stored: bytes) -> bytes:
    """Change bytes at the begin, at the end or anywhere."""
    size = min(2000, len(stored))
    how = rng.randrange(3)
    if how == 0:
        return mutators.some_bytes(rng, stored[:size]) + stored[size:]
    if how == 1:
        return stored[:-size] + mutators.some_bytes(rng, stored[-size:])
    return mutators.some_bytes(rng, stored)


def npz(rng: random.Random, scene: Scene) -> None:
    some_npz(rng, scene.place / "all.npz")
    on_people(rng, scene, "all.npz")


def hdf5(rng: random.Random, scene: Scene) -> None:
    path = scene.place / "all.h5"
    if rng.random() < 0.4:
        arrays = some_arrays(rng, content(scene.place / "all.npz"))
        path.unlink()
        _write_hdf5(path, arrays)
    else:
        put(path, _ends_changed(rng, path.read_bytes()))
    on_people(rng, scene, "all.h5")


def _write_hdf5(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write what HDF5 can hold of arrays; of what it cannot, nothing."""
    import h5py

    with h5py.File(path, "w") as file:
        for key, values in arrays.items():
            try:
                text = values.dtype.kind == "U"
                file[key] = np.asarray(values, h5py.string_dtype()) if text else values
            except (TypeError, ValueError, OSError):
                continue


def on_people(rng: random.Random, scene: Scene, file: str) -> None:
    """Have a model trained on a file of arrays, or judged by its people."""
    if rng.random() < 0.6:
        analyse(scene, "train", *LINEAR, "--model-name", "new", file=file)
    else:
        bundle = str(own_model(scene) / "bundle")
        analyse(scene, "evaluate", "--model", bundle, "--data-set", "other", file=file)


def read(scene: Scene) -> int:
    """Have the plan of an analysis of arrays printed, and all rows read."""
    from bids_dtg.inputs.array_files import open_arrays
    from bids_dtg.inputs.arrays import read_arrays

    paths = [word for word in scene.words() if word.endswith((".npz", ".h5"))]
    code = plan(scene)
    if code == 0 and "--array-key" not in scene.words():
        people = read_arrays(paths)
        for stored in open_arrays(people.files[0]).values():
            for row in range(stored.shape[0] if stored.shape and stored.holds_numbers else 0):
                stored.row(row)
    return code


def series(rng: random.Random, scene: Scene) -> None:
    """Change series of regions, or structural connectomes."""
    some_npz(rng, scene.place / "networks" / rng.choice(("REST1.npz", "REST2.npz", "sc.npz")))
    if rng.random() < 0.5:
        network(scene, "train", *NETWORK, "--model-name", "new")
    else:
        network(scene, "evaluate", "--model", str(own_model(scene) / "bundle"))


# Events and matrices of twins, tables of people.


def events(rng: random.Random, scene: Scene) -> None:
    task = rng.choice(("hammerAP", "stroopAP"))
    path = tiny_twins.events_of(scene.place, rng.choice(tiny_twins.SEEN), task)
    put(path, mutators.some_table(rng, path.read_text()))
    _train_twin(scene, "connectomes.npz")


def _train_twin(scene: Scene, arrays: str | None) -> None:
    scene.level = "group"
    words = (*tiny_twins.TRAIN, "--no-reports")
    scene.arguments = tiny_twins.arguments(scene.place, scene.out, "train", *words, arrays=arrays)


def averages(rng: random.Random, scene: Scene) -> None:
    """Change what the participant level has written of a person's connectome."""
    tiny_twins.write_sets(scene.out)
    path = rng.choice(sorted(scene.out.rglob(rng.choice(("*.tsv", "*.tsv", "*.json")))))
    if path.suffix == ".tsv":
        put(path, mutators.some_table(rng, path.read_text()))
    else:
        put(path, mutators.some_json(rng, json.loads(path.read_text())))
    _train_twin(scene, None)


LEVELS = {
    "age": {"Description": "Age", "Units": "years"},
    "group": {"LongName": "Group", "Levels": {"a": "first", "b": "second"}},
    "family_id": {"Description": "Family"},
}


def people(rng: random.Random, scene: Scene) -> None:
    """Change a table of people, or the file that describes its columns."""
    header = ["participant_id", "age", "sex", "group", "family_id"]
    rows = [
        [f"sub-{n:02d}", str(20 + n * n % 17), "FM"[n % 2], "ab"[n // 5], f"f{n // 2}"]
        for n in range(1, 9)
    ]
    text = "".join("\t".join(row) + "\n" for row in (header, *rows))
    path, described = scene.bids / "participants.tsv", json.dumps(LEVELS).encode()
    if rng.random() < 0.3:
        described = mutators.some_json(rng, LEVELS)
        put(path, text)
    else:
        put(path, mutators.some_table(rng, text))
    put(path.with_suffix(".json"), described)
    scene.level = "group"
    phenotype = ("--phenotype", rng.choice(("age", "sex", "group")))
    words = ("stats", *phenotype, *OF_AGE[2:])
    if rng.random() < 0.5:
        words += ("--covariates", *rng.sample(("age", "sex", "group"), rng.choice((1, 2))))
    scene.options += ["--analysis", *words]


REGIONS = tuple(tiny_networks.REGIONS)


def matrices(rng: random.Random, scene: Scene) -> None:
    """Write a structural connectome of one of the formats that others write."""
    weights = np.add.outer(np.arange(8.0), np.arange(8.0)) + 1
    folder = scene.place / "structural" / "sub-01"
    folder.mkdir(parents=True)
    how = rng.randrange(3)
    if how < 2:
        tab, end = rng.choice((("\t", "relmat.tsv"), (",", "connectivity.csv")))
        rows = [REGIONS, *([f"{value:g}" for value in row] for row in weights)]
        text = "".join(tab.join(row) + "\n" for row in rows)
        put(folder / f"sub-01_{end}", mutators.some_table(rng, text, tab))
    else:
        path = folder / "sub-01_connectivity.npz"
        write(path, weights=weights, region_labels=np.array(REGIONS))
        some_npz(rng, path)


def structural(scene: Scene) -> int:
    """Read a participant's structural connectome."""
    from bids_dtg.inputs.structural import StructuralSource

    StructuralSource.find(scene.place / "structural").of("01", None, list(REGIONS))
    return 0


GROUP_KINDS = {
    "npz": Kind(npz, read, 14, fixture="arrays", whole=0.1),
    "hdf5": Kind(hdf5, read, 10, fixture="arrays", whole=0.1),
    "series": Kind(series, read, 10, fixture="networks", whole=0.05),
    "events": Kind(events, plan, 14, fixture="twins", whole=0.03),
    "averages": Kind(averages, plan, 6, fixture="twins", whole=0.03),
    "people": Kind(people, program, 14, fixture="tables"),
    "matrices": Kind(matrices, structural, 14, fixture="twins", whole=0.0),
}
