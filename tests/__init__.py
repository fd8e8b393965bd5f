"""Tests mirror src; each test states one fact of physics or use."""
