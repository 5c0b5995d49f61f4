"""Attacks on the group level: measured maps, families, splits, what is kept of people."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

import numpy as np
from attacks.cases.bundles import packed, tensors
from attacks.cases.case import rows
from attacks.cases.images import AFFINE, DIM, SLOPE, bomb, declared, floats, shorts
from attacks.fixtures import SHARES
from attacks.scene import Scene, put, stamp
from fmriprep_dataset import make_image
from tiny_bundle import TINY_AFFINE, TINY_SHAPE

SECONDS = 12


def train(scene: Scene, *more: str) -> None:
    """Have a linear model trained on the cohort."""
    scene.level = "group"
    scene.options += ["-d", f"fmriprep={scene.bids}", "-d", f"statmaps={scene.statmaps}"]
    scene.options += ["--analysis", "train", "--architecture", "linear", *SHARES, *more]


def one_map(scene: Scene) -> Path:
    return min((scene.statmaps / "sub-01").glob("*.nii.gz"))


def on_maps(scene: Scene, edit) -> None:
    shutil.rmtree(scene.out)
    edit(one_map(scene))
    train(scene)


def image(values: np.ndarray, affine: np.ndarray = TINY_AFFINE):
    return lambda path: (path.unlink(), make_image(path, values.astype(np.float32), affine))


RANDOM = np.random.default_rng(0).normal(size=TINY_SHAPE)


def one_value(value: float) -> np.ndarray:
    values = RANDOM.copy()
    values[5, 6, 4] = value
    return values


rows(
    "measured",
    on_maps,
    {
        "nan": image(np.full(TINY_SHAPE, np.nan)),
        "infinite": image(np.full(TINY_SHAPE, np.inf)),
        "1e38": image(RANDOM * 1e38),
        "one-1e38": image(one_value(1e38)),
        "one-infinite": image(one_value(np.inf)),
        "zeros": image(np.zeros(TINY_SHAPE)),
        "constant": image(np.ones(TINY_SHAPE)),
        "subnormal": image(RANDOM * 1e-42),
        "of-another-grid": image(np.ones((3, 4, 5))),
        "four-dimensions": image(np.ones((*TINY_SHAPE, 4))),
        "flat": image(np.ones((10, 12))),
        "elsewhere": image(RANDOM, TINY_AFFINE + np.eye(4, k=3) * 900),
        "huge": lambda path: put(path, declared((1024, 1024, 1024), 1024)),
        "declared-only": lambda path: put(path, declared((32767, 32767, 2000), 1)),
        "bomb": lambda path: put(path, bomb(1024)),
        "cut": lambda path: put(path, path.read_bytes()[:900]),
        "text": lambda path: put(path, "map"),
        "empty": lambda path: put(path, ""),
        "slope-nan": lambda path: stamp(path, SLOPE, floats(float("nan"), float("nan"))),
        "affine-1e30": lambda path: stamp(path, AFFINE, floats(1e30, 0, 0, 0, 0, 1e30)),
        "dims-0": lambda path: stamp(path, DIM, shorts(3, 0, 0, 0)),
        "fifo": lambda path: (path.unlink(), os.mkfifo(path)),
        "folder": lambda path: (path.unlink(), path.mkdir()),
        "endless": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
        "link-to-itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
        "gone": Path.unlink,
    },
    (0, 1, 2),
    fixture="cohort",
    healthy=False,
    seconds=SECONDS,
)


def on_folder(scene: Scene, edit) -> None:
    edit(scene)
    train(scene)


rows(
    "statmaps",
    on_folder,
    {
        "two-links-to-itself": lambda scene: [
            (scene.statmaps / "sub-01" / name).symlink_to(scene.statmaps) for name in "ab"
        ],
        "three-links-above": lambda scene: [
            (scene.statmaps / name).symlink_to(scene.place) for name in "abc"
        ],
        "a-thousand-names": lambda scene: [
            put(scene.statmaps / "sub-01" / f"sub-01_contrast-x{n}_stat-z_statmap.nii.gz", "x")
            for n in range(1000)
        ],
        "odd-names": lambda scene: [
            put(scene.statmaps / "sub-01" / os.fsdecode(name), "x")
            for name in (
                b"sub-01_contrast-\x1b[31m_stat-z_statmap.nii.gz",
                b"sub-01_contrast-\xff_stat-z_statmap.nii.gz",
                b"sub-01_contrast-a\nb_stat-z_statmap.nii.gz",
                b"sub-.._contrast-x_stat-z_statmap.nii.gz",
            )
        ],
        "empty": lambda scene: (shutil.rmtree(scene.statmaps), scene.statmaps.mkdir()),
        "gone": lambda scene: shutil.rmtree(scene.statmaps),
        "a-fifo": lambda scene: (shutil.rmtree(scene.statmaps), os.mkfifo(scene.statmaps)),
        "description-fifo": lambda scene: os.mkfifo(scene.statmaps / "dataset_description.json"),
        "description-list": lambda scene: put(scene.statmaps / "dataset_description.json", "[]"),
    },
    (0, 1, 2),
    fixture="cohort",
    healthy=False,
    seconds=SECONDS,
)
LABELS = [f"sub-{n:02d}" for n in range(1, 9)]


def people(scene: Scene, content) -> None:
    path = scene.bids / "participants.tsv"
    content(path) if callable(content) else put(path, content)
    shutil.rmtree(scene.out)
    train(scene)


rows(
    "families",
    people,
    {
        "fine": "participant_id\tfamily_id\n" + "".join(f"{x}\t{x[-1]}\n" for x in LABELS),
        "commas": "participant_id,family_id\n" + "".join(f"{x},1\n" for x in LABELS),
        "one-family": "participant_id\tfamily_id\n" + "".join(f"{x}\t1\n" for x in LABELS),
        "empty": "",
        "header-only": "participant_id\tfamily_id\n",
        "open-quote": 'participant_id\tfamily_id\n"sub-01\t1\n',
        "ragged": "participant_id\tfamily_id\nsub-01\nsub-02\t1\t2\t3\n",
        "not-utf8": b"participant_id\tfamily_id\nsub-01\t\xff\xfe\n",
        "utf16": "participant_id\tfamily_id\nsub-01\t1\n".encode("utf-16"),
        "nul": b"participant_id\tfamily_id\nsub-01\t\0\n",
        "long-cell": "participant_id\tfamily_id\nsub-01\t" + "x" * 200_000 + "\n",
        "binary": bytes(range(256)) * 10,
        "twice": "participant_id\tfamily_id\tfamily_id\nsub-01\t1\t2\n",
        "person-twice": "participant_id\tfamily_id\nsub-01\t1\nsub-01\t2\n",
        "fifo": os.mkfifo,
        "folder": Path.mkdir,
        "endless": lambda path: path.symlink_to("/dev/zero"),
    },
    (0, 1, 2),
    fixture="cohort",
    healthy=False,
    seconds=SECONDS,
)


def split(scene: Scene, content) -> None:
    path = scene.place / "split.tsv"
    content(path) if callable(content) else put(path, content)
    train(scene, "--split-file", str(path))


SIDES = ["training"] * 4 + ["validation"] * 2 + ["test"] * 2
GOOD = "".join(f"{x}\t{side}\n" for x, side in zip(LABELS, SIDES, strict=True))
rows(
    "split",
    split,
    {
        "fine": "participant_id\tset\n" + GOOD,
        "empty": "",
        "no-header": GOOD,
        "unknown-set": "participant_id\tset\nsub-01\tnonsense\n",
        "person-twice": "participant_id\tset\n" + GOOD + "sub-01\ttest\n",
        "unknown-people": "participant_id\tset\nsub-99\ttraining\n",
        "path": "participant_id\tset\n../../x\ttraining\n",
        "escape": "participant_id\tset\nsub-\x1b[31m\ttraining\n",
        "open-quote": 'participant_id\tset\n"sub-01\ttraining\n',
        "ragged": "participant_id\tset\nsub-01\n\n\t\t\t\n",
        "not-utf8": b"participant_id\tset\nsub-01\t\xff\n",
        "long-cell": "participant_id\tset\nsub-01\t" + "x" * 200_000 + "\n",
        "nul": b"participant_id\tset\nsub-01\ttraining\0\n",
        "fifo": os.mkfifo,
        "folder": Path.mkdir,
        "endless": lambda path: path.symlink_to("/dev/zero"),
        "gone": lambda path: None,
    },
    (0, 1, 2),
    fixture="cohort",
    healthy=False,
    seconds=SECONDS,
)


def with_values(path: Path, value: float) -> None:
    head, data = tensors(path.read_bytes())
    for name, facts in head.items():
        if name != "__metadata__":
            begin, end = facts["data_offsets"]
            kind = {"F64": "d", "F32": "f", "F16": "e"}.get(facts["dtype"])
            if kind:
                stored = struct.pack("<" + kind, value)
                data = data[:begin] + stored * ((end - begin) // len(stored)) + data[end:]
    put(path, packed(head, data))


def cache(scene: Scene, edit) -> None:
    edit(scene.out / "group")
    train(scene)


def arrays(edit):
    return lambda group: [edit(path) for path in (group / "cache").rglob("*.npy")]


rows(
    "cache",
    cache,
    {
        "arrays-cut": arrays(lambda path: put(path, path.read_bytes()[:90])),
        "arrays-empty": arrays(lambda path: put(path, "")),
        "arrays-pickled": arrays(
            lambda path: np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
        ),
        "arrays-of-zeros": arrays(lambda path: put(path, bytes(path.stat().st_size))),
        "facts-list": lambda group: [put(p, "[]") for p in (group / "cache").rglob("*.json")],
        "facts-cut": lambda group: [put(p, "{") for p in (group / "cache").rglob("*.json")],
        "facts-types": lambda group: [
            put(p, json.dumps(dict.fromkeys(json.loads(p.read_text()), 5)))
            for p in (group / "cache").rglob("*.json")
        ],
        "facts-fifo": lambda group: [
            (p.unlink(), os.mkfifo(p)) for p in sorted((group / "cache").rglob("*.json"))[:1]
        ],
        "folder-a-file": lambda group: (shutil.rmtree(group / "cache"), put(group / "cache", "")),
        "split-damaged": lambda group: put(
            group / "model-own/desc-split_participants.tsv", b"\xff\0"
        ),
        "bundle-damaged": lambda group: put(group / "model-own/bundle/model.json", "[]"),
        "configuration-damaged": lambda group: put(
            group / "model-own/configuration.toml", "[" * 9999
        ),
    },
    (0, 1, 2),
    fixture="cohort",
    healthy=False,
    seconds=SECONDS,
)


def linear(scene: Scene, edit) -> None:
    """Run an attacked bundle of a linear model on participants 01 and 02."""
    from attacks.cases.bundles import signed

    scene.model = scene.place / "linear"
    path = scene.model / "weights.safetensors"
    edit(path)
    signed(scene.model)
    shutil.rmtree(scene.out)
    scene.options += ["--participant-label", "01", "02"]


def first_array(**facts: object):
    def edit(path: Path) -> None:
        head, data = tensors(path.read_bytes())
        name = next(key for key in head if key != "__metadata__")
        put(path, packed(head | {name: head[name] | facts}, data))

    return edit


rows(
    "linear",
    linear,
    {
        "nan": lambda path: with_values(path, float("nan")),
        "infinite": lambda path: with_values(path, float("inf")),
        "negative-infinite": lambda path: with_values(path, float("-inf")),
        "shape": first_array(shape=[1, 1]),
        "empty": lambda path: put(path, packed({}, b"")),
        "cut": lambda path: put(path, path.read_bytes()[:500]),
    },
    2,
    fixture="cohort",
    healthy=False,
    says="weights",
)
