"""Statistics that any workflow may use: tests over people, effect sizes, intervals."""
