"""From any portrait to an avatar: landmarks, fitted head, painted reference, base flow."""
