"""Delivery to a PACS: sends documents by C-STORE with storage commitment, or by STOW-RS.

Layer: delivery; uses the PACS, the journal and the folder of documents. pynetdicom is imported only
where the section ``[pacs]`` is enabled.
"""
