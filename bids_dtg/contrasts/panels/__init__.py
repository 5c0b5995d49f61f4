"""Figures and text of pages on contrast maps.

- `run`: panels of a run: registration, coverage, carpet and connectome
- `maps`: the maps of an average as cards and for the viewer, at voxels, vertices or parcels
- `words`: README, methods text, quality columns, and text on participants and averages
- `presentation`: all of it together, found by the report through the workflow's row
"""
