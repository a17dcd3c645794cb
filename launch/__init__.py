"""Programs: `python -m launch.NAME`. Each parses flags, says what it will do, and calls the library once."""
