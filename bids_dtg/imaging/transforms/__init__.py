"""Transforms between spaces; all points are in RAS+ mm.

- `chain`: affines, displacement fields, and chains of them
- `itk`: files of ITK and ANTs
- `hdf5`: what lies in a file of HDF5 as ITK writes them
- `fsl`: warp fields of FSL
"""
