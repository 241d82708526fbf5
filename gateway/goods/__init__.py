"""The goods register: what an enterprise hands in once about its goods, for its messages to be compared with (docs/goods.md)."""
