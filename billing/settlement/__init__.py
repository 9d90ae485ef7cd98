"""Settlement: revenue shared between holder, operator and exchange, approved by another, paid out."""
