"""One participant at a time: runs to series of an atlas' parcels, and what a network model infers.

- `request`: what a call asks for: atlas, model, structural connectomes
- `call`: all participants of a call
- `worker`: what a worker does: reads runs ahead, infers, writes
- `infer`: what the model says of a run: parameters and simulated sessions
- `write`: the files of a run, and its record
"""
