"""Evidence: what a third party can check without trusting whoever runs the gateway (docs/adr/0018)."""
