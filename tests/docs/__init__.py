"""What the documentation's tests are made of: its blocks of code, and a reader who follows a page."""
