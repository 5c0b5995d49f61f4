"""Names and files of BIDS derivatives: whole files, or none.

- `names`: entities to names, names to entities
- `atomic`: a file is whole under its final name, or it is not there
- `text`: JSON objects, tables and plain text of our own
- `foreign`: the one door for files that others made: found, known to be there, opened, read
- `paths`: paths as people type them, for temporary files, and hidden in what others may read
- `sidecars`: JSON sidecars, with inheritance
- `regions`: tables of series of regions and of matrices between them, and what their rows are
- `tensors`: files of tensors (safetensors)
- `array_store`: a folder of arrays, memory-mapped, each with facts and a checksum; npz files
- `download`: files of known digest from elsewhere, verified
- `locks`: of several calls, one works on what cannot be shared
- `derivatives`: the output dataset
- `provenance`: what was run, on what, with which result; failures
"""
