"""The engine process: rows, jobs, credit and the pipe to the server; also the standby and download processes."""
