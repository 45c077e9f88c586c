"""Chat rooms by URL."""
