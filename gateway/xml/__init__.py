"""Bytes ↔ trees and envelopes: the one place that knows how CEB and DXP documents are written."""
