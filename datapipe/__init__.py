"""Move tables: schema, object stores, readers, the Ray engine, tokenising, packing and shards."""
