"""What benchbeat remembers: settings, tables, the queue, runs, the history and its SQL views."""
