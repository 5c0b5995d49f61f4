"""What is asked of many people together: their maps against each other and what is known of them.

- `coding`: columns of a table as numbers of a design
- `exchangeability`: permutations that respect families and sites, and flips of signs
- `association`: columns, as regions or voxels, against a phenotype
"""
