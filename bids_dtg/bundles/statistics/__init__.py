"""Statistics of people that a bundle keeps in small files, each with a field in the card.

- `deviation`: what a person's own part is told by: people's mean and spread
- `parcels`: how wide intervals around parcel means are, by atlas
"""
