"""The method: pure functions over arrays and engines. Knows no files, no MQTT, no clock."""
