"""All that is wrong with a runbook, found at once: one file per kind of check."""
