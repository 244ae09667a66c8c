"""The speech stream: takes text while it is written, sends audio while it is generated."""
