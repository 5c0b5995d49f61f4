"""A participant's anatomy, as files: images, surfaces, and the transforms from and to templates.

- `t1w`: the T1w image, its brain mask, and transforms from and to templates
- `surfaces`: midthickness surfaces, and the transforms to the model's space
"""
