"""Conversations: which turns they hold, which notebook they belong to, and how prompts are sent."""
