"""The gallery: its page's own checks, its server, and both in a real browser."""
