"""What is made of speech, and what is kept of it, over HTTP."""
