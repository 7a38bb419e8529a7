"""What stands on the page, a file for each part: from JSON to blocks. Nothing here knows HTML."""
