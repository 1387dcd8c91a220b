"""The commands of ``sevenfold``, one file a group."""
