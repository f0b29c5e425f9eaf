"""Keeps runbooks running for others: identities, and Dagster's own processes."""
