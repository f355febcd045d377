"""One question and its answer: which way it travels, when it is retried, what it may cost."""
