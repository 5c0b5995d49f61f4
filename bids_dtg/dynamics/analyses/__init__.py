"""The network model of Sip et al., 2023: trained, judged, simulated, its fixed points found.

- `analysis`: people, the model and the folder of results of a call
- `connectivity`: fit of simulated functional connectivity, beside simple models
- `evaluate`: judges a model by people's series
- `fixed_points`: where a model's activity rests, and whether it is stable there
- `latents`: what regional parameters mean: use, features, maps, the other session
- `simulate`: simulated sessions
- `train`: fits a model, and writes its bundle
- `unseen`: judges it by people whom it was not fitted to
"""
