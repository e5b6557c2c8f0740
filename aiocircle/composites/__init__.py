"""Methods that send several requests."""
