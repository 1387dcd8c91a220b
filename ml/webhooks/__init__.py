"""Callbacks: which targets may be reached, how one is signed and sent, when it is retried."""
