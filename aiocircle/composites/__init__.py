"""Methods that need several requests."""
