"""Makes the shipped set's pictures, answer sheets for it, and the tables of docs/quality.md."""
