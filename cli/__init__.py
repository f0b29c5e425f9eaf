"""The command line, `rb`: the only code that prints or exits."""
