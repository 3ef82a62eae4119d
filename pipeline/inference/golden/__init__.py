"""The golden images: the poses that a model should find in them (`reference`), and the check that it does (`check`)."""
