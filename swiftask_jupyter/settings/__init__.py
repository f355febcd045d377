"""Settings of the connection to a service, such as the address and the token.

The sources, highest precedence first: option, %config, environment, .env, configuration files.
"""
