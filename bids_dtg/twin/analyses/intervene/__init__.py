"""Interventions in digital twins: what they depend on, and what they do once it is moved.

- `call`: the analysis of a call
- `page`: the page
- `study`: what is computed, of people at hand and those whom the model was fitted to
- `tables`: the rows of its tables
- `weights`: moves of networks' weights along the published direction
"""
