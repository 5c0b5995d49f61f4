"""Training, evaluation and simulations of the network model of Sip et al., 2023.

- `analysis`: people, the model and the folder of results of a call
- `connectivity`: fit of simulated functional connectivity, compared with simple models
- `evaluate`: evaluates a model on people's series
- `fcd`: dynamics of functional connectivity of simulated sessions, compared with measured ones
- `fixed_points`: fixed points of a model's activity, and their stability
- `latents`: regional parameters: their use, features, maps, agreement between sessions
- `simulate`: simulated sessions
- `train`: fits a model, and writes its bundle
- `unseen`: evaluates an amortised model on people outside its training set
"""
