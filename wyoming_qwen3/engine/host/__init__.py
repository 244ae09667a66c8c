"""The engine process: rows, jobs and credit, the pipe to the server, and the standby voice's engine."""
