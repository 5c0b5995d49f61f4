"""Analyses over people of any model's output, or of measured maps: one folder for each analysis.

- `analyses`: the table of these analyses
- `asked`: the requested phenotypes, and how files are named after them
- `associate`: association of regions, edges or voxels with phenotypes
- `embed`: people and their maps as points in few dimensions
- `group_maps`: group maps: tests over participants' maps
- `phenotypes`: prediction of phenotypes from maps, regions and connectomes
- `region_picture`: values of an atlas' regions, drawn on a brain
"""
