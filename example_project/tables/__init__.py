"""Tables of a restaurant: a form whose submit is a call, and a plan that every page sees change."""
