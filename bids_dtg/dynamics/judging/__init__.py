"""How well a model's series agree with people's.

- `predictions`: what a model, and what is simpler, predicts of a session of a person
- `predictive`: a person's own session compared with simulated sessions of the person
"""
