"""The pure part: no await, no Django, no I/O. What is decided here can be tested as a table."""
