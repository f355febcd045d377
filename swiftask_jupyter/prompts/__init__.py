"""What is said to an agent: text, earlier messages, files."""
