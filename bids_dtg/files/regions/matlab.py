"""The parts of a .mat file before SciPy reads them: an odd type of one ends the process there."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_HEADER, _TAG = 128, 8  # bytes
_MATRIX, _PACKED = 14, 15
_VALUES = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18}  # types of numbers and letters
_PLAIN = range(4, 16)  # classes of arrays: letters, sparse, numbers
_SPARSE, _COMPLEX = 5, 0x800  # a class; a flag beside it


def require_known_types(content: bytes, most: int) -> None:
    r"""Refuse a file with an array of numbers or letters that is stored as no type of these.

    Parameters
    ----------
    content
        The file's bytes. One of another version than 5 is not looked into: Python reads it.
    most
        Bytes that an array may have unpacked.

    Raises
    ------
    ValueError
        A type is unknown, a part ends outside the whole, an array has no class, or it lacks parts
        that its class has: one of complex numbers an imaginary one.

    Notes
    -----
    MathWorks, MAT-File Level 5 File Format. SciPy 1.17 looks a type up in a table in C without
    asking whether it is in it, and reads parts that are not there.

    Examples
    --------
    >>> import io
    >>> from scipy.io import savemat
    >>> file = io.BytesIO()
    >>> savemat(file, {"sc": [[0.0, 1.5]]})
    >>> require_known_types(file.getvalue(), 1000)
    >>> values = file.getvalue().index(struct.pack("<d", 1.5)) - 16
    >>> odd = file.getvalue()[:values] + b"\xff" + file.getvalue()[values + 1 :]
    >>> require_known_types(odd, 1000)
    Traceback (most recent call last):
      ...
    ValueError: an array is stored as type 255, which is none of numbers or letters
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or 0 in content[:4]:
        return
    for kind, held in _parts(content[_HEADER:], order):
        if kind == _PACKED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(held, most)
            if unpacker.unconsumed_tail:
                raise ValueError(f"an array has more than {most} bytes")
            for inner, own in _parts(unpacked, order):
                _require_known(inner, own, order)
        else:
            _require_known(kind, held, order)


def _require_known(kind: int, held: bytes, order: str) -> None:
    if kind != _MATRIX:
        return
    flags, number = 0, -1
    for number, (part, values) in enumerate(_parts(held, order)):
        if number == 0:
            if len(values) < 4:
                raise ValueError(f"the class of an array has {len(values)} bytes, not 8")
            (flags,) = struct.unpack(f"{order}I", values[:4])
            if flags & 0xFF not in _PLAIN:
                return
        if part not in _VALUES:
            raise ValueError(
                f"an array is stored as type {part}, which is none of numbers or letters"
            )
    # Flags, sizes and name; where values of a sparse array lie; values, and imaginary ones.
    fewest = 4 + 2 * (flags & 0xFF == _SPARSE) + bool(flags & _COMPLEX)
    if number + 1 < fewest:
        raise ValueError(f"an array has {number + 1} parts. Expected: {fewest} of its class")


def _parts(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the bytes of each part; short ones lie in their tag."""
    place = 0
    while place + _TAG <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        if kind >> 16:  # a short one: size and type in one number
            kind, size = kind & 0xFFFF, kind >> 16
            yield kind, content[place + 4 : place + 4 + size]
            place += _TAG
            continue
        begins = place + _TAG
        if begins + size > len(content):
            raise ValueError("an array ends after the file does")
        yield kind, content[begins : begins + size]
        place = begins + size if kind == _PACKED else begins + -(-size // _TAG) * _TAG
