"""The web service: Dagster's own pages and GraphQL, and the runbook API, behind one door."""
