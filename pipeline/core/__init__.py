"""Pure values and rules: states, spans of frames, poses. Only the standard library and numpy."""
