"""The picture: what its bytes are, how they are read, and the memory for them."""
