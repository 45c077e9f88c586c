"""A board with notes for everybody, and the cursors of those who are there."""
