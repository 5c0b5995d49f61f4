"""Figures and text of pages on contrast maps.

- `run`: panels of a run: registration, coverage, carpet and connectome
- `registration`: outlines of the model's brain, or of the surface, on a run's mean image
- `gallery`: the maps of an average as cards by task and for the viewer, in sections of pages
- `drawn_maps`: maps of voxels and of parcels: read, drawn, and packed for the viewer
- `group_page`: the page of the group level
- `presentation`: README, methods text, quality columns and lines on pages, in one object
"""
