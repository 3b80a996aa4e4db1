"""The command `sports`: say which sport images show."""
