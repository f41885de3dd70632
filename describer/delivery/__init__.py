"""What happens to one event: read, claimed, worked on, answered."""
