"""Training, evaluation and simulations of models of regions' activity.

- `dispatch`: runs an analysis by the kind of model that a call reads, or makes
- `analysis`: people, the model and the folder of results of a call
- `linear_training`: fits a linear core, and writes its bundle
- `train`: fits a network, and writes its bundle
- `evaluate`: one table for linear cores and networks; cores by people they have not seen
- `network_evaluation`: a network by the people it was fitted to
- `parameters`: regional parameters: their use, features, maps, agreement between sessions
- `session_means`: mean connectivity and spectra of people's sessions, for pages
- `simulate`: sessions that a model simulates
- `fixed_points`: fixed points of a network's activity, and their stability
"""
