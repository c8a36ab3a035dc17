"""Finding all of a subject in a large crawl, from a small collection about it: rounds of a classifier and of the sites it points to."""
