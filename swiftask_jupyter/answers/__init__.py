"""The answers of agents: events of a response, the reply built from them, and data in its text."""
