"""Results of other tools, as runs of ours: text in, records out."""
