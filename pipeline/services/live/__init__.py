"""Live sessions: who may begin one, which process takes it, and what is noted of it."""
