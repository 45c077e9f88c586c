"""An example: a support desk, a market and a board, and smaller pages that show one thing each."""
