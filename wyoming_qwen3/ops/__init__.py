"""What running a server needs: metrics, logs, limits on connections, dropping of slow clients, the Supervisor."""
