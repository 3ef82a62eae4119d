"""The live process: it finds people in what cameras send, while they send it."""
