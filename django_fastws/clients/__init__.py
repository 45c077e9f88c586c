"""Outbound routes: WebSockets and HTTP requests that this process opens, supervised and reconnected.

Nothing is imported here: the system checks of every command need ``library`` alone, and load no HTTP client.
"""
