"""Tests of what is released: the wheel, the sdist and the package for npm, and what they do where nothing else is."""
