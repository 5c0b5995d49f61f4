"""Which hemisphere a region is in, and which region is its like in the other: by their names."""

from __future__ import annotations

from collections.abc import Sequence

_SIDES = (("lh", "rh"), ("left", "right"), ("Left", "Right"), ("LH", "RH"), ("L", "R"), ("l", "r"))


def homotopic_pairs(regions: Sequence[str]) -> list[tuple[int, int]]:
    """Return the numbers of regions that are each other's like in the two hemispheres.

    Names say so: ``lh`` and ``rh``, ``L`` and ``R``, or ``left`` and ``right``, between other
    characters than letters, or at an end.

    Examples
    --------
    >>> homotopic_pairs(["ctx-lh-cuneus", "ctx-lh-insula", "ctx-rh-cuneus"])
    [(0, 2)]
    """
    number = {name: index for index, name in enumerate(regions)}
    pairs = []
    for name, index in number.items():
        other = number.get(other_side(name) or "")
        if other is not None and hemisphere(name) == "left":
            pairs.append((index, other))
    return pairs


def _side(name: str) -> tuple[int, str, str, str] | None:
    """Find the hemisphere in a name: position, word, the other side's word, side."""
    for left, right in _SIDES:
        for word, other, side in ((left, right, "left"), (right, left, "right")):
            start = -1
            while (start := name.find(word, start + 1)) >= 0:
                around = name[start - 1 : start] + name[start + len(word) : start + len(word) + 1]
                if not any(character.isalpha() for character in around):
                    return start, word, other, side
    return None


def hemisphere(name: str) -> str:
    """Return the hemisphere that a region's name says: left, right, or nothing.

    Examples
    --------
    >>> hemisphere("ctx-rh-insula"), hemisphere("7Networks_LH_Vis_1"), hemisphere("brainstem")
    ('right', 'left', '')
    """
    found = _side(name)
    return found[3] if found else ""


def other_side(name: str) -> str | None:
    """Return the name of a region's like in the other hemisphere; None: the name has no side."""
    found = _side(name)
    if found is None:
        return None
    start, word, other, _ = found
    return name[:start] + other + name[start + len(word) :]
