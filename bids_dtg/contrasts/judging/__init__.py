"""Scores of models of contrast maps, a row a model.

- `ceilings`: how well measured maps repeat, and how high scores can be for it
- `model_scores`: these scores of a model's maps of all contrasts
- `model_table`: models side by side: rows of scores, comparisons with verdicts, tests
- `person_rows`: scores of each person, and of the typical and the atypical half
- `people_scores`: these scores for many people, a slab of voxels at a time
"""
