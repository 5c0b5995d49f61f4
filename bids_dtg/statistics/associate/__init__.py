"""Association of regions, edges or voxels with phenotypes.

- `analysis`: association of each region, edge or voxel with phenotypes
- `page`: the page of associations
"""
