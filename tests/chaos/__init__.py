"""The promise under faults: the real function on real emulators, killed, frozen and lied to."""
