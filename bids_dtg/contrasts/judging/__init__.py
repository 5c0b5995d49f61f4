"""Scores of models of contrast maps: one table, one row per model, contrast and person.

- `people_scores`: scores of a contrast for many people, a slab of voxels at a time
- `scores`: the table of all models' scores; reliability of measured maps
- `tables`: tables computed from it: scores, comparisons with verdicts, tests
"""
