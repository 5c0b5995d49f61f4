"""Cells of tables that a spreadsheet would run as a formula: an apostrophe keeps them text."""

from __future__ import annotations

_BEGIN = ("=", "+", "-", "@")


def without_formula(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run; numbers stay as they are.

    Spreadsheets run cells that begin with ``=``, ``+``, ``-`` or ``@`` (OWASP, "CSV injection"),
    and names of regions, phenotypes and columns come from other people's files. Text that has such
    an apostrophe of its own gets a further one, so that `with_formula` gives it back.

    Examples
    --------
    >>> [without_formula(text) for text in ("=cmd()", "-0.5", "V1")]
    ["'=cmd()", '-0.5', 'V1']
    """
    if not text.lstrip("'").startswith(_BEGIN) or _is_number(text):
        return text
    return f"'{text}"


def with_formula(cell: str) -> str:
    """Return the text that `without_formula` was given.

    Examples
    --------
    >>> with_formula("'=cmd()"), with_formula("'a'")
    ('=cmd()', "'a'")
    """
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_BEGIN) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
