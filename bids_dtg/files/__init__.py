"""Names and files of BIDS derivatives: whole files, or none.

- `names`: entities to names, names to entities
- `atomic`: a file is whole under its final name, or it is not there
- `path_names`: names that stand for folders of this machine in what others may read
- `text`: JSON objects, tables and plain text of our own
- `download`: files of known digest from elsewhere, verified
- `mapped_rows`: rows of numbers that come one at a time, memory-mapped
- `foreign`: the one door for text that others wrote: JSON, TOML, tables, plain text
- `regions`: tables of series of regions and of matrices between them, and what their rows are
- `home`: paths that begin with somebody's home folder
- `walk`: files below a folder that others made
- `locks`: of several calls, one works on what cannot be shared
- `sidecars`: JSON sidecars, with inheritance
- `tensors`: files of tensors (safetensors)
- `array_store`: a folder of arrays, memory-mapped, each with facts and a checksum
- `derivatives`: the output dataset
- `provenance`: what was run, on what, with which result; failures
- `annex`: files whose content is elsewhere: git-annex, git-LFS, broken links
- `digest`: digests of files, by which they are pinned
- `temporary`: the machine's folder for temporary files
"""
