"""Figures instead of adjectives: ratios of things measured in one run on one machine."""
