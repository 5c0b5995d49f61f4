"""Scores of models of contrast maps: one table, one row per model, contrast and person.

- `people_scores`: scores of a contrast for many people, a slab of voxels at a time
- `scores`: the table of all models' scores; how well measured maps repeat
- `tables`: what is computed from it: rows of scores, comparisons with verdicts, tests
"""
