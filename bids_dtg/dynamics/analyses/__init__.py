"""Training, evaluation and simulations of models of regions' activity.

- `analysis`: people, the model and the folder of results of a call
- `by_form`: runs what the form of a model has for an analysis
- `connectivity`: fit of simulated functional connectivity, compared with simple models
- `evaluate`: evaluates a model on people's series
- `fcd`: dynamics of functional connectivity of simulated sessions, compared with measured ones
- `fixed_points`: fixed points of a model's activity, and their stability
- `latents`: regional parameters: their use, features, maps, agreement between sessions
- `linear_training`: fits a linear core, and writes its bundle
- `linear_evaluation`: evaluates a linear core or a named model on people it has not seen
- `linear_interventions`: lesions and other interventions in people by a linear core
- `linear_simulation`: sessions that a linear core simulates
- `named_training`: simulates a named model, judges its parameters, and writes its bundle
- `named_simulation`: sessions that a named model simulates
- `responses`: stability of regions at fixed points, and effects of inputs, by parameters
- `simulate`: sessions that a network model simulates
- `state_plane`: states behind measured and simulated series, in a plane
- `sweeps`: regions simulated with some values of a parameter
- `train`: fits a model, and writes its bundle
- `trajectories`: paths of a region and of a network to their fixed points
- `trust`: whether a model's parameters can be trusted
- `unseen`: evaluates an amortised model on people outside its training set
"""
