"""In-silico interventions: what a twin does once its connectome, or its network, is moved.

An effect inside a model is not evidence of an effect in a person.

- `outcomes`: what twins do, in figures of each person and task
- `gradients`: how figures depend on the connectome, averaged over noisy copies (SmoothGrad)
- `moves`: a move of the connectome along a direction, dose by dose, beside random directions
- `calibration`: how much of what a twin predicts is found in people it has not seen
- `attribution`: which edges figures depend on, beside the same of permuted behaviour
- `weights`: a move of networks' weights along the published direction, its null, and its pull-back
- `significance`: p of edges, regions and whole attributions, of such a null
- `stability`: whether attributions stay the same over people, fits and seeds
"""
