"""The only code that talks to third-party clients: one file each."""
