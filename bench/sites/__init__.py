"""What is measured: the same small applications in this package, in Channels, in Starlette, and by hand."""
