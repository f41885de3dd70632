"""The gallery's server: what this machine and the cloud share, and what is deployed there."""
