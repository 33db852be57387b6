"""Results for people: terminal tables and pictures."""
