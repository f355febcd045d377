"""Where requests go and with which token: option > %config > environment > .env > files."""
