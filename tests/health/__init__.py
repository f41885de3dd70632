"""`describer doctor` over a small Google of APIs: sound, and with one thing broken at a time."""
