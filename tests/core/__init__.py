"""Tests of the pure core: tables, without an event loop."""
