"""HTML reports from stores."""
