"""Repository documents: the files of a repository in one text, each after what it depends on."""
