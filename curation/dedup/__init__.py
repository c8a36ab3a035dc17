"""Documents that say the same: exact, by line, by address, near copies, templates."""
