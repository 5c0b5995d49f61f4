"""HDF5 files of other programs: their members, if their values lie in the file itself."""

from __future__ import annotations

from typing import Any


def member(group: Any, name: str) -> Any:
    """Return a group or array of an HDF5 file, if its values lie in this file.

    HDF5 would read any other file of the machine, and would wait for the writer of a pipe.

    Parameters
    ----------
    group
        File or group.
    name
        Name in the group.

    Raises
    ------
    ValueError
        It is a link, or its values are in another file.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import h5py
    >>> file = h5py.File(f"{mkdtemp()}/a.h5", "w")
    >>> file["rest"] = h5py.ExternalLink("b.h5", "rest")
    >>> member(file, "rest")
    Traceback (most recent call last):
    ...
    ValueError: rest is a link, not values in this file
    """
    import h5py

    if name not in group:
        raise ValueError(f"it has no {name}")
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is a link, not values in this file")
    content = group[name]
    if isinstance(content, h5py.Dataset) and (content.external or content.is_virtual):
        raise ValueError(f"{name} has its values in another file")
    return content
