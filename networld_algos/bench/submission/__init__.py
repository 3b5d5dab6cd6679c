"""A user's algorithm against committed results, submissions of its rows, and the leaderboard."""
