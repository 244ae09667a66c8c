"""From text to sound: sessions, who speaks them, when, and what is made of several of them."""
