"""The models that come with facezoo: what there is, their weights, and how to read public ones."""
