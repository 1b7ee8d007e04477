"""What radiologists signed, as cases that training can read."""
