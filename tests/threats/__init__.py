"""Threats and faults, a module per family of docs/threat-model.md; each test names its rows with `pytest.mark.row`."""
