"""Describes every image that lands in a Cloud Storage bucket, in Firestore, while you watch."""
