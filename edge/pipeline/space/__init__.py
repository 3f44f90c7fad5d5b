"""Joint space: the two bone edges of a joint and the distance between them."""
