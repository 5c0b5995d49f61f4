"""The participant level of any workflow: everything but what is made of a run.

- `call`: all participants of a call; one that fails stops no other
- `complete`: the last that is written of an average: the record that it is complete
- `dry_run`: the plan of a call, without doing it
- `figures`: figures of a run that the quality table of every workflow has
- `origin`: where results come from, as sidecars say it
- `parcels`: runs of rest as series of the parcels of one atlas: what workflows that read them share
- `reports`: when reports are made: beside the work, by a process that gives way to it
- `request`: what a call asks for, found and checked: dataset, participants, output
- `run_source`: a run before its frames are read: its cleaning, and voxels in its file
- `averages`: which runs make one average of results, and the names of its files
- `verify`: whether participants' files still are what was written
- `worker`: the unit of work that `engine` runs: one participant, read ahead, made, written
"""
