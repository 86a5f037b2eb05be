"""Makes audit events as a company's systems would, and posts them with the client library."""
