"""Analyses of digital twins: training, evaluation and interventions.

- `analysis`: people, the model and the folder of results of a call
- `evaluate`: evaluates a model in people outside its training set, with baselines
- `folds`: fits of an evaluation by folds
- `intervene`: interventions: edges that twins depend on, and the effect of perturbations
- `participants`: the participants of a training: table
- `train`: fits a model, and writes its bundle
"""
