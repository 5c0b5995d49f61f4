"""Scores of models of contrast maps, a row a model.

- `model_scores`: these scores of a model's maps of all contrasts
- `model_table`: models side by side: rows of scores, comparisons with verdicts, tests
- `people_scores`: these scores for many people, a slab of voxels at a time
"""
