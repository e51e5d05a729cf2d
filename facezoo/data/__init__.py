"""Photographs with their faces: data sets, transforms, and what makes batches of them."""
