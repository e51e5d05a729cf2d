"""Scenes drawn by code: people, things and places for the ``SyntheticFaces`` data set."""
