"""What the search knows of Chinese: one script, words, synonyms and readings. Pure text in, text out."""
