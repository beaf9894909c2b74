"""What the wizard and the pages of runs are both built of: charts, console, previews, files, progress."""
