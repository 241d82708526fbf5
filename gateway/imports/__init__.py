"""Imports: sources of many declarations, taken whole, made into messages row by row, with an account of every row."""
