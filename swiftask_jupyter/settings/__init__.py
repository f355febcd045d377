"""The service and the token to use. Precedence: option > %config > environment > .env > files."""
