"""Groups with methods of several requests. A group in `resources` has one request a method."""
