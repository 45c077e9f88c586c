"""Prices from a feed: one socket goes out for them, and each page's comes in."""
