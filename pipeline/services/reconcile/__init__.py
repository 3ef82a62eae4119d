"""Repair what a dead worker, a lost message or an emptied Redis left behind. Safe to run anywhere, at any time."""

from __future__ import annotations

from pipeline.services.reconcile.tick import tick

__all__ = ["tick"]
