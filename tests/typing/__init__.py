"""Samples for type checkers, which nothing runs: ``make check`` has mypy and pyright read them.

What must not be accepted is marked for both, and each of them finds fault with a mark that is not needed.
"""
