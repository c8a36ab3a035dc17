"""Tool use: environments whose state is a database, tasks that have a goal in it, dialogues in which it is reached, and their judge."""
