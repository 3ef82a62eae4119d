"""Pure values and rules. Only the standard library and numpy, and OpenCV's resize in `letterbox`."""
