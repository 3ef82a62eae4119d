"""The golden pictures: what a model should find in them, and the check that it does."""
