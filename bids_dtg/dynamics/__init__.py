"""The data-driven network model of whole-brain dynamics (Sip et al., 2023).

What the model reads, and what it is:

- `networks`: people's series of each region, and the structural connectome between them
- `recipe`: what a model consists of, how it is trained, and each doubtful point of the original
- `model`: transition, observation and encoders, as a module of PyTorch
- `objective`: the evidence lower bound (ELBO), term by term, and the loss

Fitting:

- `optimiser`: Adam as Keras steps it
- `task`: batches, loss and record of a training (extra ``train``)
- `fit`: fits a model: resumable, with restarts (extra ``train``)
- `inference`: what a fitted model infers of people's networks, as arrays

What a fitted model does:

- `simulation`: whole-network simulations, over people and simulations in one tensor
- `fixed_points`: where states rest, of a region and of a network, and whether that is stable
- `roles`: what a region alone does as one of its parameters varies

What is measured and compared:

- `measures`: functional connectivity, its dynamics, spectra and zero-crossings of series
- `features`: figures of regions, and how much of them the regional parameters explain
- `baselines`: simple models that a network model has to beat, and ceilings
- `predictive`: how a person's own session compares with those simulated for the person
- `parameters`: which regional parameters a model uses, in what order, how stable they are
- `likeness`: how alike simulated and original series are, region by region
- `recovery`: how well known parameters are recovered, and how often intervals hold them
"""
