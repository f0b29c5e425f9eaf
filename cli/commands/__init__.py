"""The verbs of `rb`: one file each."""
