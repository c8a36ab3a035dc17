"""What a document is worth: scores, ranks, buckets, epochs."""
