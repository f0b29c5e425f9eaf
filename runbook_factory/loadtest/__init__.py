"""Load tests: from a runbook to a k6 script, and from k6's summary to a verdict."""
