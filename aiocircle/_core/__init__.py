"""Encoding, throttling, sending, retrying and decoding of requests. All of it is private: import from `aiocircle`."""
