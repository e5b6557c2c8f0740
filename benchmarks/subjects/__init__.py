"""The measured clients: each module is one client, and runs in a process and an environment of its own.

A scenario is a function, plain or async, that takes the server's URL and its options. It returns its counts, so the
benchmark can check that all clients have done the same work.
"""
