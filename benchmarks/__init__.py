"""How fast dergate is: the real daemon between a real broker and devices, each figure beside a reference."""
