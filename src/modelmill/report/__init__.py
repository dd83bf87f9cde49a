"""Every model's results: a table in the terminal, and a page of tables, curves and figures."""
