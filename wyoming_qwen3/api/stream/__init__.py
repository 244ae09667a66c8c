"""The speech stream: text in as it is written, audio out as it is made."""
