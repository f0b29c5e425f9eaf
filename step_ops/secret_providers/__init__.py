"""Where secrets come from: one file per kind of source, and the chain that asks them in order."""
