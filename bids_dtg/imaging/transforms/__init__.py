"""Transforms between spaces; all points are in RAS+ mm.

- `chain`: affines, displacement fields, and chains of them
- `itk`: files of ITK and ANTs
- `fsl`: warp fields of FSL
"""
