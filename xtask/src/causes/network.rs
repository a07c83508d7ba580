//! Between this machine and the server: names, ports, TLS, and who answers there.

causes! {}
