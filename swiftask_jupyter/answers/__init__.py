"""The answers of agents: events, turns and replies, and the data in the text of an answer."""
