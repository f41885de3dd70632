"""Terraform and what it deploys."""
