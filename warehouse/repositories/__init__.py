"""One module a concern: small functions that take a connection inside a transaction."""
