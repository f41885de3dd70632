"""What one would take instead of this project."""
