"""Tell a team's own servers when its runs end."""
