"""The page, the API and the probes of `imgsync serve`."""
