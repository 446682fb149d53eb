"""The sub-commands of `rest-bridge`, thin: each reads options, calls the runtime, reports."""
