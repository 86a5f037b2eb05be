"""What the contract tests and the demonstrations of the examples share: services, gateways, requests."""
