"""What README and guide print in other languages than the shell's is run as it stands."""
