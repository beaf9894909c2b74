"""Augmentations as plain data, which a plugin carries out with its framework."""
