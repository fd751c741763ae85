"""Pictures of the history: data in, SVG out."""
