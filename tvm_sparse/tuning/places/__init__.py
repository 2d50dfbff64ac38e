"""Where candidates run, and whose times their records hold: one file a kind of place."""
