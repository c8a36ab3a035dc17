"""Issues, pull requests and commits of a repository, joined to one document per thread."""
