"""What lies on disk and how it is held: runs, studies, members and what was found of them; free of torch."""
