"""Changes of bytes, text, JSON, tables and images by chance, the same for the same generator."""

from __future__ import annotations

import gzip
import json
import random
import struct
import zlib

from attacks.cases.images import (
    AFFINE,
    BITPIX,
    DATATYPE,
    DIM,
    MAGIC,
    OFFSET,
    PIXDIM,
    QFORM,
    QUATERN,
    SLOPE,
    UNITS,
)

INTEGERS = (0, 1, -1, 2, 7, 127, 128, 255, 256, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**53)
NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 1e30, -1e30, 1e300, 1e308, 4e9)
STRANGE = (float("nan"), float("inf"), float("-inf"))
WORDS = (
    "",
    " ",
    "n/a",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "None",
    "true",
    "0",
    "-1",
    "1e400",
    "9" * 40,
    "9" * 5000,
    "0x1F",
    "../../x",
    "/etc/passwd",
    "~nosuchuser",
    "\x00",
    "\x1b[31m",
    "\x9b31m",
    "\r\n",
    "\n",
    "\t",
    '"',
    "'",
    "\\",
    "{}",
    "[[",
    "%s%n",
    "<script>",
    "\u202e",
    "\ufeff",
    "\ud800",
    "é",
    "x" * 3000,
    "sub-01",
    "sub-..",
)
_BAD_BYTES = (b"\xff", b"\xfe\xff", b"\x00", b"\xc3\x28", b"\xed\xa0\x80", b"\x80")


def some_bytes(rng: random.Random, content: bytes) -> bytes:
    """Change bytes: flips, extremes, pieces cut out, doubled, moved or lost."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(content) + 1)
        size = rng.choice((1, 1, 2, 4, 8, 64, 512))
        content = rng.choice(_OF_BYTES)(rng, content, at, size)
    return content


def _flip(rng, content, at, size):
    if at == len(content):
        return content
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _extreme(rng, content, at, size):
    kind = rng.choice("bhiq")
    bits = 8 * struct.calcsize(kind)
    value = (rng.choice(INTEGERS) + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
    stored = struct.pack(rng.choice("<>") + kind, value)
    return content[:at] + stored + content[at + len(stored) :]


_OF_BYTES = (
    _flip,
    _flip,
    _extreme,
    _extreme,
    lambda rng, content, at, size: content[:at] + content[at + size :],
    lambda rng, content, at, size: content[:at] + rng.randbytes(size) + content[at:],
    lambda rng, content, at, size: content[:at] + rng.randbytes(size) + content[at + size :],
    lambda rng, content, at, size: (
        content[:at] + content[at : at + size] * 2 + content[at + size :]
    ),
    lambda rng, content, at, size: content[:at] + bytes(size) + content[at + size :],
    lambda rng, content, at, size: content[:at],
)


def some_text(rng: random.Random, text: str) -> bytes:
    """Change words, lines and numbers of a text."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        lines = text.split("\n")
        number = rng.randrange(len(lines))
        how = rng.randrange(6)
        if how == 0:
            lines[number] = rng.choice(WORDS)
        elif how == 1:
            lines.insert(number, lines[number])
        elif how == 2:
            del lines[number]
        else:
            words = lines[number].split(" ")
            words[rng.randrange(len(words))] = word(rng)
            lines[number] = " ".join(words)
        text = "\n".join(lines)
    content = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.2:
        at = rng.randrange(len(content) + 1)
        content = content[:at] + rng.choice(_BAD_BYTES) + content[at:]
    return some_bytes(rng, content) if rng.random() < 0.15 else content


def word(rng: random.Random) -> str:
    """Return a word that a reader may stumble over."""
    how = rng.random()
    if how < 0.6:
        return rng.choice(WORDS)
    if how < 0.8:
        return str(rng.choice(INTEGERS))
    return repr(rng.choice((*NUMBERS, *STRANGE)))


def value(rng: random.Random, depth: int = 0) -> object:
    """Return a value that JSON can hold."""
    how = rng.randrange(10)
    if how < 3:
        return rng.choice(WORDS)
    if how < 5:
        return rng.choice(INTEGERS)
    if how < 7:
        return rng.choice((*NUMBERS, *STRANGE))
    if how == 7:
        return rng.choice((None, True, False, 10**30, [], {}))
    if depth > 3:
        return None
    if how == 8:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(WORDS): value(rng, depth + 1) for _ in range(rng.randrange(4))}


def some_json(rng: random.Random, content: object) -> bytes:
    """Change values and keys anywhere in what JSON holds, or the text that it becomes."""
    content = json.loads(json.dumps(content))
    for _ in range(rng.choice((1, 1, 2, 5))):
        content = _changed(rng, content)
    text = json.dumps(content).encode("utf-8", "surrogatepass")
    if rng.random() < 0.04:
        depth = rng.choice((100, 1000, 3000, 60_000))
        text = b'{"a":' * depth + text + b"}" * depth
    return some_bytes(rng, text) if rng.random() < 0.2 else text


def _changed(rng: random.Random, content: object) -> object:
    places = [(None, None)]

    def walk(node: object) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, item in items:
            places.append((node, key))
            if isinstance(item, (dict, list)):
                walk(item)

    if isinstance(content, (dict, list)):
        walk(content)
    node, key = rng.choice(places)
    if node is None:
        return value(rng) if rng.random() < 0.3 else content
    if rng.random() < 0.2:
        del node[key]
    elif isinstance(node, dict) and rng.random() < 0.2:
        node[rng.choice(WORDS)] = node.pop(key)
    else:
        node[key] = value(rng)
    return content


def some_table(rng: random.Random, text: str, tab: str = "\t") -> bytes:
    """Change cells, columns and rows of a table."""
    rows = [line.split(tab) for line in text.rstrip("\n").split("\n")]
    for _ in range(rng.choice((1, 1, 2, 6))):
        if not rows:
            break
        number, how = rng.randrange(len(rows)), rng.randrange(9)
        row = rows[number]
        if how < 4 and row:
            row[rng.randrange(len(row))] = word(rng)
        elif how == 4 and row:
            row[rng.randrange(len(row))] = rng.choice(rows[0] or [""])
        elif how == 5:
            rows.insert(number, list(row))
        elif how == 6:
            del rows[number]
        elif how == 7:
            column, filler = rng.randrange(len(rows[0]) + 1), word(rng)
            for other in rows[1:]:
                if column < len(other):
                    other[column] = filler
        else:
            row.insert(rng.randrange(len(row) + 1), word(rng))
    content = "\n".join(tab.join(row) for row in rows) + "\n"
    if rng.random() < 0.2:
        return some_text(rng, content)
    return content.encode("utf-8", "surrogatepass")


# Fields of a NIfTI-1 header: offset, number and type of its values.
_FIELDS = (
    (DIM, 8, "h"),
    (DATATYPE, 1, "h"),
    (BITPIX, 1, "h"),
    (PIXDIM, 8, "f"),
    (OFFSET, 1, "f"),
    (SLOPE, 2, "f"),
    (UNITS, 1, "b"),
    (QFORM, 2, "h"),
    (QUATERN, 6, "f"),
    (AFFINE, 12, "f"),
    (MAGIC, 4, "b"),
    (0, 1, "i"),
    (348, 4, "b"),
)


def some_header(rng: random.Random, image: bytes) -> bytes:
    """Change fields of the header of a NIfTI image."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        offset, number, kind = rng.choice(_FIELDS)
        size = struct.calcsize(kind)
        at = offset + size * rng.randrange(number)
        if kind == "f":
            picked = rng.choice((*NUMBERS[:-3], *STRANGE, rng.uniform(-500, 500), 1e38))
        else:
            picked = rng.choice((*INTEGERS, rng.randrange(100)))
            picked = (picked + 2 ** (8 * size - 1)) % 2 ** (8 * size) - 2 ** (8 * size - 1)
        image = image[:at] + struct.pack("<" + kind, picked) + image[at + size :]
    return image


def some_image(rng: random.Random, packed: bytes) -> bytes:
    """Change a compressed NIfTI image: its header, its values, or the stream."""
    how, image = rng.random(), gzip.decompress(packed)
    if how < 0.55:
        image = some_header(rng, image)
    elif how < 0.75:
        at = 352 + rng.randrange(max(1, len(image) - 352))
        image = image[:at] + some_bytes(rng, image[at:])
    elif how < 0.95:
        return some_bytes(rng, packed)
    else:
        return packed + rng.choice((packed, b"x" * 99, gzip.compress(bytes(2**24)), bytes(512)))
    pack = zlib.compressobj(1, zlib.DEFLATED, 31)
    return pack.compress(image) + pack.flush()
