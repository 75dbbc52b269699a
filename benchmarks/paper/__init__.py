"""The three kinds of experiment of arXiv 2301.12006, through the product: regression.py, digits.py and text.py."""
