"""API v1.1: the operations that API v2 lacks."""
