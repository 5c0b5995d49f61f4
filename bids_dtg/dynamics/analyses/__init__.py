"""Training, evaluation and simulation of models of regional activity.

- `dispatch`: runs an analysis for the kind of model that is read or trained
- `analysis`: people, model and results folder of an analysis
- `linear_training`: fits a linear core, and writes its bundle
- `train`: fits a network, and writes its bundle
- `evaluate`: the table of scores; evaluates linear cores on people they were not trained on
- `network_evaluation`: evaluates a network on the people it was fitted to
- `parameters`: regional parameters: their use, features, maps, agreement between sessions
- `session_means`: mean connectivity and spectra of people's sessions, for pages
- `simulate`: simulates sessions with a model
- `fixed_points`: fixed points of a network's activity, and their stability
"""
