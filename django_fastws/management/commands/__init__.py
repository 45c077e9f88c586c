"""Management commands, each in the module of its name."""
