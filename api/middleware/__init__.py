"""What every request passes through, outermost first; each file is one pure ASGI middleware."""
