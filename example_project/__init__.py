"""An example: chat rooms, and a feed that a sync view pushes."""
