"""From photographs to faces."""
