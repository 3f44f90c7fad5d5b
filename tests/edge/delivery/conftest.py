from journal_films import journal, store

__all__ = ["journal", "store"]
