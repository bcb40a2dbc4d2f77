"""Show progress: bars on a terminal, log lines elsewhere."""
