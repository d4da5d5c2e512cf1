"""The processes: a supervisor that starts workers, their shared socket, and the log."""
