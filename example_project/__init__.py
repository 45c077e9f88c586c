"""An example: chat rooms, a form that is a call, a feed that a sync view pushes, and one that a socket reads."""
