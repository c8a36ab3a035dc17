"""Are imports respected? Repository documents against what the languages' own tools resolve themselves."""
