"""Tables of a report, as data that LaTeX, Markdown and the page print."""
