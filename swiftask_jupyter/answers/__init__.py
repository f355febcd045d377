"""The answers of agents, from the events of a response to the data in the text of an answer."""
