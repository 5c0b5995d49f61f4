"""Training, evaluation and simulations of models of regions' activity.

- `analysis`: people, the model and the folder of results of a call
- `by_form`: runs what the form of a model has for an analysis
- `connectivity`: fit of simulated functional connectivity, compared with simple models
- `evaluate`: evaluates a model on people's series
- `fcd`: dynamics of functional connectivity of simulated sessions, compared with measured ones
- `fixed_points`: fixed points of a model's activity, and their stability
- `parameters`: regional parameters: their use, features, maps, agreement between sessions
- `linear_training`: fits a linear core, and writes its bundle
- `linear_evaluation`: evaluates a linear core on people it has not seen
- `linear_simulation`: sessions that a linear core simulates
- `simulate`: sessions that a network model simulates
- `train`: fits a network, and writes its bundle
"""
