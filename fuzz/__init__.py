"""Every parser of foreign input has a law: a value, or one of our errors, in bounded time. `fuzz.laws` says it, `fuzz.run` looks for what breaks it."""
