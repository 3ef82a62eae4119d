"""What a browser needs to show a run on its video: the frames' times, their poses, a timeline, the video itself."""
