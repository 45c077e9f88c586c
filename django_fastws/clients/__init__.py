"""Outbound routes: sockets and requests that this process opens, supervised."""
