"""Configs: YAML files merged into one tree, checked, and built into objects."""
