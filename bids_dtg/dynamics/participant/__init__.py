"""One participant at a time: runs to series of an atlas' parcels, and what a network model infers.

- `array_people`: people of files of arrays
- `infer`: what the model says of a run: parameters and simulated sessions
- `output_people`: people of the output of the participant level
- `people`: who is used, and their series and structural connectomes, checked
- `request`: what a call asks for: atlas, model, structural connectomes
- `source`: the form in which people's series and structural connectomes are at hand
- `worker`: the level: reads runs ahead, infers, writes
- `write`: the files of a run, and its record
"""
