"""Drawings on pages of analyses that are PNG files, made by matplotlib.

- `design_matrix`: the design of a run
- `glass_brain`: a map of voxels, seen through the brain from four sides
"""
