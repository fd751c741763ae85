"""The tests; a package, since textstat installs one of the same name, which would come first."""
