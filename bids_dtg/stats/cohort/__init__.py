"""What is asked of many people together: their maps against each other and what is known of them.

- `coding`: columns of a table as numbers of a design
- `exchangeability`: permutations that respect families and sites, and flips of signs
- `association`: columns, as regions or voxels, against a phenotype
- `map_sizes`: whether the size of people's maps goes with what is tested
- `pooled_fdr`: the false discovery rate of many tests, counted in the permutations they share
- `point_cloud`: maps as points: inner products that hold their distances and components
- `embedding`: maps laid out in few dimensions, and what such a picture shows
- `second_level`: tests of a mean or a difference at each voxel, corrected for all voxels
- `peaks`: clusters of a group map with the region of each peak
- `group_maps`: two maps of one group side by side: r, Dice, clusters
"""
