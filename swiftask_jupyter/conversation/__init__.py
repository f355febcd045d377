"""Conversations: the order of their turns, the notebook they belong to, and sending prompts."""
