"""What is measured: each module is one client, and runs in a process and an environment of its own.

A scenario is a function, plain or async, that takes the server's URL and its options, and gives what it counted, so
that all can be checked to have done the same work.
"""
