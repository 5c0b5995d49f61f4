"""Analyses over people of any workflow's results, or of measured maps.

- `analyses`: the table of these analyses
- `asked`: phenotypes and covariates as numbers, and how files are named after them
- `stats`: one question to each region, voxel, edge or score
- `phenotypes`: prediction of phenotypes from maps, edges and measured maps
- `embed`: people and their maps as points in few dimensions
"""
