"""`benchbeat watch`: what goes on, as a live screen."""
