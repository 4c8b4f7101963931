-- Which sockets were ever bound to a port, without being connected: who listened there before is found without reading all sockets.

CREATE INDEX socket_bound ON socket (local_port) WHERE remote_port = 0 AND local_port > 0;
