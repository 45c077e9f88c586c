"""Benchmarks: each is a module to run, and prints what it measured."""
