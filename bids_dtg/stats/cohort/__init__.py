"""What is asked of many people together: their maps against each other and what is known of them.

- `coding`: columns of a table as numbers of a design
- `exchangeability`: permutations that respect families and sites, and flips of signs
- `association`: columns, as regions or voxels, against a phenotype
- `point_cloud`: maps as points: inner products that hold their distances and components
- `embedding`: maps laid out in few dimensions, and what such a picture shows
- `typicality`: each person's map against the mean of the others'
"""
