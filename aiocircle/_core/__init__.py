"""Requests: built, paced, repeated and read. Nothing here is public; the root re-exports what is."""
