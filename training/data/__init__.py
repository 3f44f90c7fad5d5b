"""Joints of films as the installed engines find them, and statistics of joint crops.

Layer: training.data; reads films, runs installed engines. Imports no torch.
"""
