"""Drawings of a network: the canvas, frames and a window."""
