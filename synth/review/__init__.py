"""People in the loop: a local page on which search questions are accepted, edited, made vaguer or rejected, and facts are collected."""
