"""Simulated people with a known truth: connectomes, contrast maps and whole datasets."""
