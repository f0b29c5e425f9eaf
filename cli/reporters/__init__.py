"""How `rb` shows things: one file per thing shown."""
