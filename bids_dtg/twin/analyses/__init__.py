"""Analyses of digital twins: training, evaluation and interventions.

- `analysis`: people, the model and the folder of results of a call
- `evaluate`: evaluates a model in people outside its training set, with baselines
- `folds`: fits of an evaluation by folds
- `intervene`: interventions: edges that twins depend on, and the effect of perturbations
- `known_by`: predictions of people who are known by another task: table and section
- `own_trials`: predictions of later trials from a person's first ones: table and section
- `train`: fits a model, and writes its bundle
"""
