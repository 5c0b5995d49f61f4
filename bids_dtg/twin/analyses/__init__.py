"""Analyses of digital twins: training, evaluation and interventions.

- `analysis`: people, the model and the folder of results of a run; the table of participants
- `evaluate`: evaluates a model in people outside its training set, or twins by folds or halves
- `intervene`: moves connectomes along gradients of behaviour
- `train`: fits a model, and writes its bundle
"""
