"""Processes of the local stack: emulators, the function, a small Eventarc."""
