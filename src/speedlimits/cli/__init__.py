"""The command `speedlimits`: one module per subcommand."""
