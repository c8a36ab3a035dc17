"""Search questions over pages of a corpus, and agents that answer them with a real search engine."""
