"""Where to send, and on whose behalf: option > %config > environment > .env > pyproject > user."""
