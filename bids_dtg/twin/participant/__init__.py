"""One participant at a time: runs to connectomes, and what twins made from these do in tasks.

- `array_connectomes`: connectomes from files of arrays
- `behaviour`: the figures of it, beside what the participant did
- `columns`: what the columns of the tables of behaviour mean
- `connectome`: the connectome of a set of runs
- `event_trials`: what people did, of the event files of a dataset
- `events`: each participant's event files, and whose sequence others perform
- `infer`: what networks do in the tasks of a set
- `output_connectomes`: connectomes that the participant level has written
- `people`: who has a connectome and trials
- `request`: what a call asks for: atlas, model, event files
- `source`: what connectomes are read from, one form for every source
- `worker`: the level: reads runs ahead, averages their edges, lets twins perform, writes
- `write`: the files of runs and sets, and their records
"""
