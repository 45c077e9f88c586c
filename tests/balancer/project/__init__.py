"""What the servers behind the proxies serve."""
