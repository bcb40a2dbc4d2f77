"""Show the progress of an apply: bars on a terminal, else log lines."""
