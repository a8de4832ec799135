"""The paper this project starts from, reproduced as a whole: its networks, its grid, its tables and figures."""
