"""One module for each group of operations: its models, its endpoints, its methods."""
