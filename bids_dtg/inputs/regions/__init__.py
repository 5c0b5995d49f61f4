"""Regions of the brain: where they lie, and what is known of each.

- `maps`: maps of the cortex by region, as a table
- `positions`: where the regions of the Desikan-Killiany atlas lie
"""
