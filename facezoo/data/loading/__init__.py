"""From data sets to batches: order, worker processes, shared memory, prefetch."""
