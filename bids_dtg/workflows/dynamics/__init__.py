"""The network model of Sip et al., 2023: trained, judged, simulated, its fixed points found.

What analyses share:

- `people`: whom files of arrays hold: series and structural connectomes, checked
- `analysis`: people, the model and the folder of results of a call
- `columns`: what the columns of the tables mean

Analyses, and what they are made of:

- `train`: fits a model, and writes its bundle
- `evaluate`: judges a model by people's series
- `connectivity`: fit of simulated functional connectivity, beside simple models
- `latents`: what regional parameters mean: use, features, maps, the other session
- `simulate`: simulated sessions
- `fixed_points`: where a model's activity rests, and whether it is stable there

To try it:

- `demo`: simulated people with known parameters, and what the model recovers of them
"""
