"""What simulators of all workflows share: anatomy, motion, noise, runs and their files.

- `streams`: random streams: one for each use, person, session and segment
- `fields`: smooth random fields
- `anatomy`: where the tissues lie
- `motion`: head motion
- `confounds`: the table of confounds, and the signals that fMRIPrep measures for it
- `nuisance`: what a run has beside neural signals
- `bold_run`: a run, streamed some frames at a time
- `bold_image`: a run as the bytes of a compressed NIfTI file
- `derivatives`: a run's files, as fMRIPrep leaves them
- `regions`: names and places of regions
- `parcels`: what voxels regions have, as an atlas
- `region_run`: a run of rest whose regions have given series
- `region_dataset`: people of such runs, as data sets
"""
