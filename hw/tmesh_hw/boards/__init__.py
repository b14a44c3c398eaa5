"""Boards: the engine, its link and a clock on real pins."""

from .board import BOARDS, Board, BoardTop

__all__ = ["BOARDS", "Board", "BoardTop"]
