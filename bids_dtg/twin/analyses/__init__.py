"""Digital twins fitted to people, judged by others, and moved.

- `analysis`: people, the model and the folder of results of a call
- `evaluate`: judges a model by people whom it was not fitted to, beside simple predictions
- `intervene`: interventions in digital twins: what they depend on, and what they do once it is
  moved
- `train`: fits a model, and writes its bundle
"""
