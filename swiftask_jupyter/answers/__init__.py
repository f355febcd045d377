"""What comes back: events, the reply they add up to, and the structure in its text."""
