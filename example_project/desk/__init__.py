"""A support desk: tickets with a history, typing, presence, unread marks, and an agent who can kick."""
