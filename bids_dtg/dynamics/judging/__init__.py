"""How well models predict and simulate people's sessions.

- `predictions`: predictions of a person's session by a model and by simpler methods, with scores
- `predictive`: a person's own session compared with simulated sessions of the person
"""
