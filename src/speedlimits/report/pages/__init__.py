"""Self-contained HTML pages, by plotly and Jinja."""
