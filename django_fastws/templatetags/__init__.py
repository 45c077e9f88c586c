"""Template tags, as Django finds them by their names."""
