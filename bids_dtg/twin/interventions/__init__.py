"""In-silico interventions: a twin's behaviour under perturbations of its connectome.

An effect inside a model is not evidence of an effect in a person.

- `outcomes`: figures of twins' behaviour for each person and task
- `gradients`: how figures depend on the connectome, averaged over noisy copies (SmoothGrad)
- `perturbations`: perturbations of the connectome along a direction, and random directions
- `moves`: whether a perturbation lowers a figure: refits, and the same with permuted behaviour
- `linear`: ridge regression and covariance of edges with figures, which need no network
- `calibration`: slope of observed on predicted figures in people outside the training set
- `attribution`: edges and regions that figures depend on, with a null of permuted behaviour
"""
