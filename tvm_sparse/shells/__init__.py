"""Machines on which commands run: by ssh, or by Android's adb."""
