"""Loading restricted tables: read by content, checked value by value, replaced whole."""
