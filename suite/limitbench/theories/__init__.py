"""Theories: predictions of the law of an observable; one small file per theory."""
