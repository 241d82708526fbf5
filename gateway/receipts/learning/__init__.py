"""What the answers of customs teach about its codes: how often each comes, and what cured it (docs/adr/0043)."""
