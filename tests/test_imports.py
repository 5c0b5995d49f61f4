"""Modules import one another in one direction, within rooms as well."""

from __future__ import annotations

import grimp


def test_no_module_imports_itself_through_others():
    """Imports for types count, too: whoever reads one module would have to read the others."""
    graph = grimp.build_graph("bids_dtg", cache_dir=None)
    circles = []
    for module in sorted(graph.modules):
        for imported in graph.find_modules_directly_imported_by(module):
            chain = graph.find_shortest_chain(importer=imported, imported=module)
            if chain:
                circles.append(" → ".join((module, *chain)))
    assert circles == []
