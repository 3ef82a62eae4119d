"""The use cases, one a file. Each takes the `System` it works on; none knows of Celery or of a terminal."""
