"""The `benchbeat` command: one file a command group, no logic."""
