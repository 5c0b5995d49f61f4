"""How well a network model's series agree with people's.

- `baselines`: simple models that a network model has to beat, and ceilings
- `predictive`: how a person's own session compares with those simulated for the person
- `forecast`: how well a person's next frames are foretold, from the frames before them alone
- `unseen`: figures of people, a value a person, also of people whom a model never saw
- `likeness`: how alike simulated and original series are, region by region
- `recovery`: how well known parameters are recovered, and how often intervals hold them
"""
