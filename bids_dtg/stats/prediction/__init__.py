"""Phenotypes predicted from people's maps and connectomes, never tested on who was trained on.

- `folds`: folds of people: whole families, sites and levels in proportion, or site by site
- `ridge`: ridge regression of many targets, by people or by columns, less confounds
- `phenotypes`: the cross-validated procedure: penalties, scores, permutations
- `comparison`: two sets of features on the same folds
- `question`: a phenotype of certain people, asked of one set of features after another
- `intervals`: intervals of scores, and corrected p-values
- `weights`: which features a prediction goes with
"""
