"""Training, evaluation and simulations of models of regions' activity.

- `analysis`: people, the model and the folder of results of a call
- `by_form`: runs what the form of a model has for an analysis
- `evaluate`: evaluates a model on people's series: the table and page of both families
- `network_evaluation`: what an evaluation of a network has beside them
- `parameters`, `session_means`: parts of its page
- `fixed_points`: fixed points of a model's activity, and their stability
- `latents`: regional parameters: their use, features, maps, agreement between sessions
- `linear_training`: fits a linear core, and writes its bundle
- `linear_simulation`: sessions that a linear core simulates
- `simulate`: sessions that a network model simulates
- `train`: fits a network, and writes its bundle
"""
