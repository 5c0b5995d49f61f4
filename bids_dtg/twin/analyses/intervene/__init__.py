"""Interventions in digital twins: edges that they depend on, and the effect of perturbations.

- `call`: the analysis of a call
- `page`: the page
- `study`: the computations, with the people at hand and the training participants
- `tables`: the rows of its tables
"""
