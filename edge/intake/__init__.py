"""Intake: from a file in the scanner's folder to bytes that are known to be whole.

This room touches the file system and nothing else: no image is decoded here, nothing is sent.
"""
