"""How well a network model's series agree with people's.

- `baselines`: simple models for comparison, and ceilings
- `predictive`: a person's own session compared with simulated sessions of the person
- `describers`: what linear cores and what is simpler say of a person's other session
"""
