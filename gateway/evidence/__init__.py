"""Evidence: what a third party can verify without trusting the gateway's operator (docs/adr/0018)."""
