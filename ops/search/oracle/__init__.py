"""Solr's answers as the judge of ours: a made corpus, made questions, both answers side by side."""
