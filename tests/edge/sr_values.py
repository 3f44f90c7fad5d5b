"""Reads a structured report back by pydicom alone, for tests."""

from __future__ import annotations

from io import BytesIO

from pydicom import dcmread


def code_of(item, keyword):
    code = item[keyword].value[0]
    return code.CodeValue


def children(item):
    return list(item.get("ContentSequence", ()))


def walk(item):
    """Every content item below one, in order."""
    for child in children(item):
        yield child
        yield from walk(child)


def groups(data):
    """Measurement groups of a report, the limb's first."""
    document = dcmread(BytesIO(data))
    return [
        item
        for item in walk(document)
        if item.ValueType == "CONTAINER" and code_of(item, "ConceptNameCodeSequence") == "125007"
    ]


def values_of(group):
    """Direct values of a group by code: numbers as float, codes by their values, texts."""
    found = {}
    for item in children(group):
        name = code_of(item, "ConceptNameCodeSequence")
        if item.ValueType == "NUM":
            found[name] = float(item.MeasuredValueSequence[0].NumericValue)
        elif item.ValueType == "CODE":
            found[name] = code_of(item, "ConceptCodeSequence")
        elif item.ValueType == "TEXT":
            found[name] = item.TextValue
        elif item.ValueType == "UIDREF":
            found[name] = item.UID
    return found


def regions(group):
    """Graphic type and points of every SCOORD of a group."""
    return [
        (item.GraphicType, [float(value) for value in item.GraphicData])
        for item in children(group)
        if item.ValueType == "SCOORD"
    ]
