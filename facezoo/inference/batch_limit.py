"""How much goes through a network at once; quick to import."""

BATCH_SIZE = 8
"""Photographs."""

MAX_PIXELS = BATCH_SIZE * 1280 * 1280
"""Padded pixels: a batch of the photographs of WIDER FACE, which are 1024 wide, stays whole."""
