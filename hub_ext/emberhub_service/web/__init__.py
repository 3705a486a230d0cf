"""The hub's page: who sees what is settled in `control.board`; here it is served, and kept up to date."""
