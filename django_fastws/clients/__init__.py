"""Outbound routes: WebSockets and HTTP requests that this process opens, supervised and reconnected."""
