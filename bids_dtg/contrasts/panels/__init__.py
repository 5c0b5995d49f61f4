"""Figures and text of pages on contrast maps.

- `run`: panels of a run: registration, coverage, carpet and connectome
- `maps`: the maps of an average as cards and for the viewer, at voxels, vertices or parcels
- `group_page`: the page of the group level
- `presentation`: README, methods text, quality columns and lines on pages, in one object
"""
