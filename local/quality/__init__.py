"""Makes the shipped set's pictures and answer sheets, and writes docs/quality.md; see operate/quality."""
