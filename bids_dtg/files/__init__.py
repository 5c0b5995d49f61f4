"""Names and files of BIDS derivatives; every file is written completely or not at all.

- `names`: file names from entities, and entities from file names
- `atomic`: a file is complete under its final name, or absent
- `text`: JSON objects, tables and plain text that this program writes
- `columns`: columns of tables: names, meanings and units, and values as cells
- `foreign`: the only place where files of other programs are found, opened and read
- `paths`: paths that users type, temporary files, and hiding paths in shared text
- `sidecars`: JSON sidecars, with BIDS inheritance
- `regions`: tables of regional time series and of matrices between regions
- `hdf5`: members of HDF5 files, unless they lead to other files
- `tensors`: tensor files (safetensors)
- `array_store`: a folder of memory-mapped arrays, each with facts and a checksum; npz files
- `download`: downloaded files, verified by their digest
- `locks`: locks between parallel runs of the program
- `derivatives`: the output dataset
- `provenance`: logs, completion records and failures
"""
