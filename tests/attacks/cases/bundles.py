"""Attacks on models: their card, weights, maps and masks, checkpoints."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
from pathlib import Path

from attacks.cases.case import case, rows
from attacks.cases.images import bomb, declared
from attacks.scene import Scene, change, put, put_json, stamp

CARD = "model.json"
PARTS = ("weights.safetensors", "maps.nii.gz", "brain_mask.nii.gz", "mask.nii.gz")


def signed(model: Path) -> None:
    """Write the sums and sizes of a bundle's files into its card: a forgery that is consistent."""
    card = json.loads((model / CARD).read_text())
    for name, facts in card["files"].items():
        content = (model / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if isinstance(facts, dict):
            facts |= {"sha256": digest, "size": len(content)}
        else:
            card["files"][name] = digest
    put(model / CARD, json.dumps(card))


def tensors(content: bytes) -> tuple[dict, bytes]:
    """Take a safetensors file apart: its header and its data."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def packed(header: object, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def weights(edit):
    """Return an attack on the tensors of a bundle, whose card then fits them."""

    def attack(scene: Scene) -> None:
        path = scene.model / "weights.safetensors"
        put(path, edit(*tensors(path.read_bytes())))
        signed(scene.model)

    return attack


def of_value(value: float):
    def edit(header: dict, data: bytes) -> bytes:
        for name, facts in header.items():
            if name != "__metadata__" and facts["dtype"] == "F32":
                begin, end = facts["data_offsets"]
                stored = struct.pack("<f", value) * ((end - begin) // 4)
                data = data[:begin] + stored + data[end:]
        return packed(header, data)

    return edit


def first(header: dict, **facts: object) -> dict:
    name = next(name for name in header if name != "__metadata__")
    return header | {name: header[name] | facts}


WEIGHTS = {
    "nan": of_value(float("nan")),
    "infinite": of_value(float("inf")),
    "1e38": of_value(1e38),
    "wrong-shape": lambda h, d: packed(first(h, shape=[1]), d),
    "negative-shape": lambda h, d: packed(first(h, shape=[-4, -1]), d),
    "huge-shape": lambda h, d: packed(first(h, shape=[2**40, 2**40]), d),
    "offsets-beyond": lambda h, d: packed(first(h, data_offsets=[0, 2**60]), d),
    "offsets-reversed": lambda h, d: packed(first(h, data_offsets=[64, 0]), d),
    "offsets-of-text": lambda h, d: packed(first(h, data_offsets=["0", "4"]), d),
    "type-unknown": lambda h, d: packed(first(h, dtype="F1024"), d),
    "type-integer": lambda h, d: packed(first(h, dtype="I32"), d),
    "name-gone": lambda h, d: packed(dict(list(h.items())[1:]), d),
    "names-added": lambda h, d: packed(
        h | {f"x{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(999)}, d
    ),
    "header-of-2-to-60": lambda h, d: struct.pack("<Q", 2**60) + d,
    "header-of-0": lambda h, d: struct.pack("<Q", 0) + d,
    "header-list": lambda h, d: packed(b"[]", d),
    "header-not-utf8": lambda h, d: packed(b'{"\xff": 1}', d),
    "metadata-of-numbers": lambda h, d: packed(h | {"__metadata__": {"a": 5}}, d),
    "data-cut": lambda h, d: packed(h, d[:100]),
    "data-gone": lambda h, d: packed(h, b""),
    "data-more": lambda h, d: packed(h, d + bytes(4096)),
    "empty": lambda h, d: b"",
    "text": lambda h, d: b"not tensors",
    "pickle": lambda h, d: pickle.dumps({"a": 1}),
}
# What only torch can see comes out where the first run has been read: it is imported beside that.
FOR_TORCH = ("wrong-shape", "names-added")
OTHERWISE = ("1e38", "data-more", *FOR_TORCH)
rows(
    "weights",
    lambda scene, edit: weights(edit)(scene),
    {name: edit for name, edit in WEIGHTS.items() if name not in OTHERWISE},
    2,
    healthy=False,
    says="weights",
)
rows(
    "weights",
    lambda scene, edit: weights(edit)(scene),
    {name: WEIGHTS[name] for name in ("1e38", "data-more")},
    (0, 1, 2),
    healthy=False,
)
rows(
    "weights",
    lambda scene, edit: weights(edit)(scene),
    {name: WEIGHTS[name] for name in FOR_TORCH},
    (1, 2),
    healthy=False,
    says="weights",
)
rows(
    "card",
    lambda scene, content: put(scene.model / CARD, content),
    {
        "empty": "",
        "list": "[]",
        "text": '"card"',
        "null": "null",
        "binary": bytes(range(256)),
        "not-utf8": b'{"name": "\xff"}',
        "empty-object": "{}",
        "nul": b"\0" * 4096,
    },
    2,
    healthy=False,
    says=CARD,
)
KEYS = {
    "name-path": {"name": "../../x"},
    "name-escape": {"name": "\x1b]0;owned\x07"},
    "name-number": {"name": 5},
    "kind-unknown": {"kind": "os.system"},
    "kind-list": {"kind": ["attention-unet"]},
    "files-list": {"files": ["a"]},
    "files-path": {"files": {"../../etc/passwd": "0" * 64}},
    "files-absolute": {"files": {"/etc/passwd": {"sha256": "0" * 64, "size": 1}}},
    "files-numbers": {"files": {"maps.nii.gz": 5}},
    "format": {"format": 10**30},
    "format-text": {"format": "one"},
    "notice-escape": {"notice": "\x1b[31mforged\nbids_dtg: error: x\x07"},
    "notice-list": {"notice": [1]},
    "version-object": {"version": {"a": 1}},
    "training-list": {"training": [1]},
    "evaluation-text": {"evaluation": "good"},
    "licence-number": {"license": 5, "licence": 5},
    "contrasts-number": {"contrasts": 5},
    "contrasts-labels": {"contrasts": [{"label": "../x"}]},
    "grid-huge": {"grid": {"shape": [10**6, 10**6, 10**6], "affine": [[1e30] * 4] * 4}},
    "part-list": {"part": []},
}
rows(
    "card-with",
    lambda scene, facts: put_json(scene.model / CARD, **facts),
    KEYS,
    (0, 2),
    healthy=False,
)


@case(2, healthy=False, says="notice")
def card_with_a_notice_of_5_megabytes(scene: Scene) -> None:
    put_json(scene.model / CARD, notice="x" * 5_000_000)


def nested(scene: Scene, change_of: tuple[str, object]) -> None:
    """Give every key of this name in the card another value."""
    key, value = change_of

    def walk(node: object) -> None:
        if isinstance(node, dict):
            for name in node:
                if name == key:
                    node[name] = value
                else:
                    walk(node[name])
        elif isinstance(node, list):
            for item in node:
                walk(item)

    card = json.loads((scene.model / CARD).read_text())
    walk(card)
    put(scene.model / CARD, json.dumps(card))


rows(
    "card-anywhere",
    nested,
    {
        "shape-negative": ("shape", [-1, 2, 3]),
        "shape-text": ("shape", "x"),
        "shape-huge": ("shape", [10**9] * 3),
        "affine-text": ("affine", [["x"] * 4] * 4),
        "affine-null": ("affine", None),
        "affine-1e30": (
            "affine",
            [[1e30, 0, 0, 0], [0, 1e30, 0, 0], [0, 0, 1e30, 0], [0, 0, 0, 1]],
        ),
        "space-number": ("space", 5),
        "contrasts-empty": ("contrasts", []),
        "contrasts-null": ("contrasts", None),
        "label-path": ("label", "../../x"),
        "label-escape": ("label", "\x1b[31m"),
        "label-same": ("label", "same"),
        "sha-short": ("sha256", "0"),
        "size-negative": ("size", -1),
        "size-huge": ("size", 10**30),
    },
    (0, 2),
    healthy=False,
)


def part(scene: Scene, edit: tuple[str, object]) -> None:
    name, how = edit
    how(scene.model / name)
    if (scene.model / name).is_file():
        signed(scene.model)


NAN = b"\0\0\xc0\x7f"
rows(
    "part",
    part,
    {
        "maps-nan": ("maps.nii.gz", lambda path: stamp(path, 352, NAN * 400)),
        "maps-cut": ("maps.nii.gz", lambda path: change(path, lambda c: c[:400])),
        "maps-text": ("maps.nii.gz", lambda path: put(path, "maps")),
        "maps-huge": ("maps.nii.gz", lambda path: put(path, declared((512, 512, 256), 64))),
        "maps-bomb": ("maps.nii.gz", lambda path: put(path, bomb(1024))),
        "mask-empty": ("mask.nii.gz", lambda path: stamp(path, 352, bytes(1080))),
        "mask-huge": ("mask.nii.gz", lambda path: put(path, declared((1024, 1024, 64), 64))),
        "mask-declared": ("mask.nii.gz", lambda path: put(path, declared((32767,) * 3, 1))),
        "mask-text": ("mask.nii.gz", lambda path: put(path, "mask")),
        "brain-empty": ("brain_mask.nii.gz", lambda path: stamp(path, 352, bytes(1080))),
        "brain-huge": ("brain_mask.nii.gz", lambda path: put(path, declared((512, 512, 256), 64))),
        "weights-huge": ("weights.safetensors", lambda path: os.truncate(path, 2**31)),
    },
    (0, 1, 2),
    healthy=False,
    seconds=20,
)
for name in (*PARTS, CARD):
    rows(
        f"file-{name.split('.')[0]}",
        lambda scene, make, name=name: ((scene.model / name).unlink(), make(scene.model / name)),
        {
            "fifo": os.mkfifo,
            "folder": Path.mkdir,
            "endless": lambda path: path.symlink_to("/dev/zero"),
            "link-to-itself": lambda path: path.symlink_to(path.name),
            "gone": lambda path: None,
        },
        2,
        healthy=False,
        says=name,
    )
