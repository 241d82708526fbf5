"""Convert bytes to trees and envelopes and back: only this package knows the XML form of CEB and DXP documents."""
