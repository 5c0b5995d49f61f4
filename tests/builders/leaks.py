"""A search for words in all files below a folder, also in what is packed inside them."""

from __future__ import annotations

import base64
import io
import re
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_EMBEDDED = re.compile(rb"base64,([A-Za-z0-9+/=]{64,})")


def find_leaks(folder: Path, words: Sequence[str], *, but: Sequence[str] = ()) -> dict[str, str]:
    """Return file -> the first of some words in its name or content, for those that hold one.

    Content is also looked at without its compression (gzip, zip, PNG), in pictures inside pages,
    and with percent-encoded addresses decoded; arrays, tensors, tar and SQLite are plain bytes.
    `but` names folders at the top that are left out.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] in but:
            continue
        texts = [str(name).encode()]
        if path.is_symlink():
            texts.append(str(path.readlink()).encode())
        elif path.is_file():
            texts += _layers(path.read_bytes())
        text = b"\n".join(texts).lower()
        text += urllib.parse.unquote_to_bytes(text) if b"%" in text else b""
        hit = next((word for word in words if word.lower().encode() in text), None)
        if hit is not None:
            found[str(name)] = hit
    return found


def _layers(data: bytes) -> Iterator[bytes]:
    """Yield content, and what is packed in it, however deep."""
    yield data
    for inner in _unpacked(data):
        yield from _layers(inner)


def _unpacked(data: bytes) -> Iterator[bytes]:
    member = data
    while member.startswith(b"\x1f\x8b"):  # a damaged one as far as it goes
        unpacker = zlib.decompressobj(31)
        yield unpacker.decompress(member)
        member = unpacker.unused_data
    if data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for item in archive.infolist():
                yield archive.read(item)
    elif data.startswith(b"\x89PNG"):
        yield from _png_texts(data)
    for picture in _EMBEDDED.findall(data):
        with suppress(ValueError):
            yield base64.b64decode(picture)


def _png_texts(data: bytes) -> Iterator[bytes]:
    """Yield the packed texts of a PNG file."""
    at = 8
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        content = data[at + 8 : at + 8 + size]
        if kind in (b"zTXt", b"iTXt"):
            for start in range(min(len(content), 90)):  # after the keyword and its language
                with suppress(zlib.error):
                    yield zlib.decompress(content[start:])
                    break
        at += size + 12
