"""The training engine: the loop, its hooks, checkpoints, and evaluation of a whole data set."""
