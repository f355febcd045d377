"""Conversations: their rules, the notebook they belong to, and the session that asks."""
