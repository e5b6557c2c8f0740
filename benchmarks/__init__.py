"""The benchmarks of aiocircle: `make bench`, or `python -m benchmarks --help`."""
