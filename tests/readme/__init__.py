"""What the README prints is run as it stands."""
