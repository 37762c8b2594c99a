"""What the guestbook is made of: `web` speaks HTTP, `store` SQL, `pages` HTML, and `pictures` keeps files."""
