"""Run a plan: copy its changes, record and report the results."""
