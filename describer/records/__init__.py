"""The record in Firestore: its fields, and the store that keeps it."""
