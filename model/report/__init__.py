"""Render answers, scores and comparisons for the terminal, HTML and Markdown."""
