"""The network model of Sip et al., 2023: trained, judged, simulated, its fixed points found.

What analyses share:

- `participant`: one participant at a time: series of an atlas' parcels, and what is inferred
- `people`: who is used, and their series and structural connectomes, checked
- `source`: the form in which people's series and structural connectomes are at hand
- `array_people`: people of files of arrays
- `output_people`: people of the output of the participant level
- `analysis`: people, the model and the folder of results of a call
- `columns`: what the columns of the tables mean

Analyses, and what they are made of:

- `train`: fits a model, and writes its bundle
- `evaluate`: judges a model by people's series
- `unseen`: judges it by people whom it was not fitted to
- `connectivity`: fit of simulated functional connectivity, beside simple models
- `latents`: what regional parameters mean: use, features, maps, the other session
- `simulate`: simulated sessions
- `fixed_points`: where a model's activity rests, and whether it is stable there

To try it:

- `demo`: simulated people with known parameters, and what the model recovers of them
"""
