"""Analyses of digital twins: training, evaluation and interventions.

- `analysis`: people, the model and the folder of results of a call
- `by_architecture`: an analysis with a network or without, as the call's model is
- `evaluate`: evaluates a model in people outside its training set, with baselines
- `folds`: fits of an evaluation by folds
- `intervene`: interventions: edges that twins depend on, and the effect of perturbations
- `mixed_effects`: trains and evaluates a model without a network
- `own_trials`: predictions of later trials from a person's first ones: table and section
- `participants`: the participants of a training: table
- `train`: fits a model, and writes its bundle
"""
