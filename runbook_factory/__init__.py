"""Makes a runbook run: YAML to Dagster job, executor, recorder, execution log."""
