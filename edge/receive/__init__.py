"""The DICOM receiver: takes films by C-STORE and puts them into the inbox.

A process of its own (`sharpedge receive`); the appliance follows the inbox like the drop folder.
"""
