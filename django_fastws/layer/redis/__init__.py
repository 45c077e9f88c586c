"""Channel layer for Redis: publishing and subscribing, with confirmed subscriptions."""
