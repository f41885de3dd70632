"""What others are told of a record: one event for its end, in a topic of Pub/Sub."""
