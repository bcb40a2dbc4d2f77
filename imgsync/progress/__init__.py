"""How far an apply is: bars on a terminal, a log line per heartbeat elsewhere."""
