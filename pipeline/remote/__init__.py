"""Poseline on another machine, asked over its API with a key: no database, queue or store has to be reached."""
