"""One participant: runs to series of an atlas' parcels, and inference of a network model.

- `array_people`: people of array files
- `infer`: inference from a run: parameters and simulated sessions
- `output_people`: people in the output of the participant level
- `people`: the selected people, their series and structural connectomes, checked
- `request`: the request of a call: atlas, model, structural connectomes
- `source`: the common form of people's series and structural connectomes
- `worker`: the participant level: reads runs ahead, infers, writes
- `write`: the files of a run, and its record
"""
