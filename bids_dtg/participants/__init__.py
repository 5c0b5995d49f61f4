"""The participant level of any workflow: everything but what is made of a run.

- `call`: all participants of a call; one that fails stops no other; the plan of a call
- `worker`: the unit of work that `engine` runs: one participant, read ahead, made, written
- `request`: what a call asks for, found and checked: dataset, participants, averages, output
- `run_source`: a run before its frames are read: its cleaning, and voxels in its file
- `parcels`: runs of rest as series of the parcels of one atlas: what workflows that read them share
- `origin`: what every workflow writes about runs: origin, figures of quality, the last record
- `reports`: pages of what was made, while the work goes on or anew, and whether files are whole
"""
