"""What keeps a server up: metrics, logs, limits on connections, clients that read nothing, the Supervisor."""
