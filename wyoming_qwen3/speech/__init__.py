"""From text to audio: sessions, their backends and order, and what consists of several sessions."""
