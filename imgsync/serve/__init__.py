"""`imgsync serve`: keep mirrors in step, and show them."""
