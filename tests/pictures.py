"""Pictures for tests in which nobody decodes them."""

# Whole by its beginning and its end.
JPEG = b"\xff\xd8\xff\xda\0\2\xff\xd9"
