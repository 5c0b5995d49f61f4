"""The participant level that all workflows share; each adds only what it computes from a run.

- `call`: processes all participants, each independently, or prints the plan (``--dry-run``)
- `worker`: the work on one participant: reads runs ahead, makes results and writes them
- `request`: what the user asks for, found and checked: dataset, participants, averages, output
- `run_source`: a run before its frames are read: its cleaning, and where voxels lie in its file
- `parcels`: resting runs as series of an atlas's parcels, for the workflows that use them
- `origin`: what every workflow writes about runs: sources, quality metrics, completion records
- `reports`: makes and remakes pages, and verifies that files are intact
"""
