"""Pages to browse the history, which write nothing."""
