"""What a runbook and an execution are: plain data and pure functions."""
