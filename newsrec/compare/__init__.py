"""Policies trained under one budget and played over paired readers in several simulated worlds."""
