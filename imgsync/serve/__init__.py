"""`imgsync serve`: keep mirrors in step by schedule and event, and show them."""
