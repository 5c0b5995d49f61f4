"""How well a network model's series agree with people's.

- `baselines`: simple models for comparison, and ceilings
- `predictive`: a person's own session compared with simulated sessions of the person
- `describers`: what linear cores, named models and what is simpler say of a person's other session
- `forecast`: how well a person's next frames are predicted from the frames before them alone
- `unseen`: figures with a value for each person, also for people outside the training set
- `recovery`: known parameters, recovered by a regression on the model's in other people
"""
